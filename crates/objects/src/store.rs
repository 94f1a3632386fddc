//! The handle to a volume and its operations.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cairn_env::{Env, files};
use cairn_types::{Error, ErrorKind, Result};
use futures::stream::{BoxStream, StreamExt};
use futures::{Future, TryStreamExt};
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions, WriteMultipart};

use crate::failure::{Context, Secrets};
use crate::fault::{Fault, Faults};
use crate::folder::Folder;
use crate::location::Location;
use crate::s3;

/// Objects of more bytes are sent to S3 in parts.
pub(crate) const MULTIPART_BYTES_MIN: usize = 16 << 20;
/// Bytes of one part.
pub(crate) const PART_BYTES: usize = 8 << 20;
/// Parts of one object on their way at the same time.
const PARTS_AT_ONCE: usize = 4;
/// How often a create starts again that S3 refused because another one was under way and then came to nothing.
const CREATE_TRIES: u32 = 4;

/// An object as a listing shows it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ObjectInfo {
    /// Relative to the volume's location.
    pub key: String,
    pub bytes: u64,
    /// Milliseconds since 1970-01-01 UTC, by the store's clock.
    pub modified_ms: u64,
}

/// A storage volume that is open. Cheap to clone. Keys are relative to its location.
#[derive(Clone)]
pub struct VolumeStore {
    inner: Arc<Inner>,
    faults: Option<Faults>,
}

struct Inner {
    location: String,
    secrets: Secrets,
    objects: Arc<dyn ObjectStore>,
    /// For local folders: what writes and deletes there.
    folder: Option<(Arc<Folder>, Env)>,
}

impl fmt::Debug for VolumeStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VolumeStore({})", self.inner.location)
    }
}

impl VolumeStore {
    /// Opens the volume at `location`: `file:///path` or `s3://bucket/prefix`, with StarRocks' properties. S3 is not
    /// contacted yet, see [`probe`](Self::probe).
    ///
    /// # Errors
    /// `Unavailable` when the folder does not exist (it may be a disk that is not mounted); `Analysis` or `Unsupported`
    /// for a location or property that means nothing here.
    pub fn open(location: &str, properties: &BTreeMap<String, String>, env: &Env) -> Result<Self> {
        let clean = location.trim_end_matches('/');
        match Location::parse(location)? {
            Location::Folder(path) => {
                if let Some(name) = properties.keys().find(|name| !name.eq_ignore_ascii_case("enabled")) {
                    return Err(Error::unsupported(format!("a FILE volume has no property '{name}'")));
                }
                if !path.is_dir() {
                    return Err(folder_gone(clean));
                }
                let objects = LocalFileSystem::new_with_prefix(&path)
                    .map_err(|e| Error::unavailable(format!("cannot open volume {clean}: {e}")))?;
                let root = path.canonicalize().map_err(|e| files::io_error("open folder", &path, &e))?;
                let folder = Some((Arc::new(Folder::new(root)), env.clone()));
                Ok(Self::of(clean, Secrets::default(), Arc::new(objects), folder))
            }
            Location::S3 { bucket, prefix } => {
                let (objects, secrets) = s3::connect(&bucket, &prefix, properties)?;
                Ok(Self::of(clean, secrets, objects, None))
            }
        }
    }

    /// As [`open`](Self::open), but makes the folder of a `file://` volume, durably.
    ///
    /// # Errors
    /// As `open`; `Unavailable` when the folder cannot be made.
    pub fn create(location: &str, properties: &BTreeMap<String, String>, env: &Env) -> Result<Self> {
        if let Location::Folder(path) = Location::parse(location)? {
            files::create_dir(&path)?;
            path.ancestors().skip(1).try_for_each(|parent| match files::sync_dir(parent) {
                // A parent that this user may not read was not made by this user either.
                Err(e) if e.kind() != ErrorKind::Unavailable => Err(e),
                _ => Ok(()),
            })?;
        }
        Self::open(location, properties, env)
    }

    /// An empty volume in memory, for tests.
    #[must_use]
    pub fn in_memory() -> Self {
        Self::of("memory://", Secrets::default(), Arc::new(InMemory::new()), None)
    }

    fn of(
        location: &str,
        secrets: Secrets,
        objects: Arc<dyn ObjectStore>,
        folder: Option<(Arc<Folder>, Env)>,
    ) -> Self {
        let inner = Inner { location: location.to_owned(), secrets, objects, folder };
        Self { inner: Arc::new(inner), faults: None }
    }

    /// The same volume through which operations fail as `faults` says.
    #[must_use]
    pub fn with_faults(&self, faults: &Faults) -> Self {
        Self { inner: Arc::clone(&self.inner), faults: Some(faults.clone()) }
    }

    /// The volume's URI, without a slash at the end.
    #[must_use]
    pub fn location(&self) -> &str {
        &self.inner.location
    }

    /// The library's view of the volume, for readers that want one (DataFusion). What is written through it to a local
    /// folder is not durable: write by [`put_new`](Self::put_new).
    #[must_use]
    pub fn object_store(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.inner.objects)
    }

    /// Creates `key`, durably. The same bytes a second time are a success; other bytes are refused.
    ///
    /// Objects of more than 16 MiB go to S3 in parts. S3 creates these atomically, but looks for an existing object before
    /// and not in the same step: their keys must be unique (they carry a write id).
    ///
    /// # Errors
    /// `AlreadyExists` when an object with other content is there; `ResourceExhausted` when the volume is full;
    /// `Unavailable`.
    pub async fn put_new(&self, key: &str, value: Bytes) -> Result<()> {
        let path = self.path("write", key)?;
        self.faulty("write", key, true, async {
            let mut tries = 0;
            loop {
                tries += 1;
                let conflict = match self.try_put(key, &path, &value).await {
                    Err(e) if e.kind() == ErrorKind::AlreadyExists => e,
                    done => return done,
                };
                match self.try_get(key, &path).await {
                    Ok(found) if found == value => return Ok(()),
                    // S3 answers so too while another create of this key is under way that then fails.
                    Err(e) if e.kind() == ErrorKind::NotFound && tries < CREATE_TRIES => {
                        tokio::time::sleep(Duration::from_millis(50 << tries)).await;
                    }
                    Ok(_) => return Err(conflict),
                    Err(e) => return Err(e),
                }
            }
        })
        .await
    }

    async fn try_put(&self, key: &str, path: &Path, value: &Bytes) -> Result<()> {
        let context = self.context("write", key);
        if let Some((folder, env)) = &self.inner.folder {
            if !folder.root().is_dir() {
                return Err(folder_gone(self.location()));
            }
            let (folder, value, unique) = (Arc::clone(folder), value.clone(), env.random_hex());
            let file = folder.root().join(path.as_ref());
            return match env.spawn_blocking(move || folder.create(&file, &value, &unique)).await {
                Ok(done) => done.map_err(|e| e.context(format!("volume {}", self.location()))),
                Err(e) => Err(context.error(ErrorKind::Internal, &e.to_string())),
            };
        }
        if value.len() > MULTIPART_BYTES_MIN {
            return self.put_parts(key, path, value).await;
        }
        let options = PutOptions::from(PutMode::Create);
        let put = self.inner.objects.put_opts(path, value.clone().into(), options).await;
        put.map(drop).map_err(|e| context.of(&e))
    }

    async fn put_parts(&self, key: &str, path: &Path, value: &Bytes) -> Result<()> {
        let context = self.context("write", key);
        match self.inner.objects.head(path).await {
            Ok(_) => {
                return Err(
                    context.error(ErrorKind::AlreadyExists, "an object with other content is there already")
                );
            }
            Err(object_store::Error::NotFound { .. }) => {}
            Err(e) => return Err(context.of(&e)),
        }
        let upload = self.inner.objects.put_multipart(path).await.map_err(|e| context.of(&e))?;
        let mut parts = WriteMultipart::new_with_chunk_size(upload, PART_BYTES);
        let mut rest = value.clone();
        while !rest.is_empty() {
            if let Err(e) = parts.wait_for_capacity(PARTS_AT_ONCE).await {
                // The first error is the one to tell; S3 forgets an abandoned upload by the bucket's own rule.
                let _ = parts.abort().await;
                return Err(context.of(&e));
            }
            parts.put(rest.split_to(rest.len().min(PART_BYTES)));
        }
        parts.finish().await.map(drop).map_err(|e| context.of(&e))
    }

    /// The whole object.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`.
    pub async fn get(&self, key: &str) -> Result<Bytes> {
        let path = self.path("read", key)?;
        self.faulty("read", key, false, self.try_get(key, &path)).await
    }

    async fn try_get(&self, key: &str, path: &Path) -> Result<Bytes> {
        let read = async { self.inner.objects.get(path).await?.bytes().await };
        read.await.map_err(|e| self.read_error("read", key, &e))
    }

    /// Bytes `range` of the object.
    ///
    /// # Errors
    /// `NotFound`; `Corrupt` when the object is too short; `Unavailable`.
    pub async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes> {
        let mut read = self.get_ranges(key, std::slice::from_ref(&range)).await?;
        read.pop().ok_or_else(|| Error::internal("one range was asked for and none was read"))
    }

    /// Bytes `ranges` of the object, in that order; near ones are fetched together.
    ///
    /// # Errors
    /// As [`get_range`](Self::get_range).
    pub async fn get_ranges(&self, key: &str, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let path = self.path("read", key)?;
        self.faulty("read", key, false, async {
            // The library refuses empty ranges.
            let asked: Vec<_> = ranges.iter().filter(|r| r.start < r.end).cloned().collect();
            let read = match asked.is_empty() {
                true => Vec::new(),
                false => match self.inner.objects.get_ranges(&path, &asked).await {
                    Ok(read) => read,
                    Err(e) => return Err(self.range_error(key, &path, &asked, &e).await),
                },
            };
            let mut read = read.into_iter();
            let mut out = Vec::with_capacity(ranges.len());
            for range in ranges {
                let bytes =
                    if range.start < range.end { read.next().unwrap_or_default() } else { Bytes::new() };
                if bytes.len() as u64 != range.end.saturating_sub(range.start) {
                    return Err(self.too_short(key, range, range.start + bytes.len() as u64));
                }
                out.push(bytes);
            }
            Ok(out)
        })
        .await
    }

    /// Stores answer a range beyond the end each in their own way; this finds out whether that was it.
    async fn range_error(
        &self,
        key: &str,
        path: &Path,
        asked: &[Range<u64>],
        e: &object_store::Error,
    ) -> Error {
        if let Ok(meta) = self.inner.objects.head(path).await
            && let Some(range) = asked.iter().find(|r| r.end > meta.size)
        {
            return self.too_short(key, range, meta.size);
        }
        self.read_error("read", key, e)
    }

    fn too_short(&self, key: &str, range: &Range<u64>, bytes: u64) -> Error {
        let cause =
            format!("it is cut short: bytes {}..{} were asked for, it has {bytes}", range.start, range.end);
        self.context("read", key).error(ErrorKind::Corrupt, &cause)
    }

    /// What is known about an object without reading it.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`.
    pub async fn head(&self, key: &str) -> Result<ObjectInfo> {
        let path = self.path("look at", key)?;
        self.faulty("look at", key, false, async {
            let meta = self.inner.objects.head(&path).await;
            // Below a prefix the library names the whole path here.
            meta.map(|meta| ObjectInfo { key: key.to_owned(), ..info(meta) })
                .map_err(|e| self.read_error("look at", key, &e))
        })
        .await
    }

    /// All objects below the folder `prefix` (empty: the whole volume), page by page, in no order that counts.
    ///
    /// The stream ends with an error when the volume cannot be read to the end.
    #[must_use]
    pub fn list(&self, prefix: &str) -> BoxStream<'static, Result<ObjectInfo>> {
        let this = self.clone();
        let prefix = prefix.to_owned();
        let start = async move {
            let path = this.path("list", &prefix)?;
            let fault = this.faults.as_ref().and_then(|f| f.begin("list", &prefix, false));
            if let Some(fault) = fault {
                return fault.error("list", &prefix);
            }
            this.check_root()?;
            let folder = (!prefix.is_empty()).then_some(&path);
            let listed = this.inner.objects.list(folder);
            Ok(listed.map(move |meta| meta.map(info).map_err(|e| this.context("list", &prefix).of(&e))))
        };
        futures::stream::once(start).try_flatten().boxed()
    }

    /// The names of the folders directly below the folder `prefix`, sorted.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn list_folders(&self, prefix: &str) -> Result<Vec<String>> {
        let path = self.path("list", prefix)?;
        self.faulty("list", prefix, false, async {
            self.check_root()?;
            let folder = (!prefix.is_empty()).then_some(&path);
            let listed = self.inner.objects.list_with_delimiter(folder).await;
            let listed = listed.map_err(|e| self.context("list", prefix).of(&e))?;
            let mut names: Vec<_> =
                listed.common_prefixes.iter().filter_map(|p| p.filename().map(str::to_owned)).collect();
            names.sort();
            Ok(names)
        })
        .await
    }

    /// Deletes `key`, durably; it may be gone already.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn delete(&self, key: &str) -> Result<()> {
        self.delete_all(&[key.to_owned()]).await
    }

    /// Deletes `keys`, durably; they may be gone already.
    ///
    /// # Errors
    /// `Unavailable`, after all were tried.
    pub async fn delete_all(&self, keys: &[String]) -> Result<()> {
        let paths = keys.iter().map(|key| self.path("delete", key)).collect::<Result<Vec<_>>>()?;
        let Some(named) = keys.first() else { return Ok(()) };
        self.faulty("delete", named, true, async {
            self.check_root()?;
            match &self.inner.folder {
                Some((folder, env)) => {
                    let files = paths.iter().map(|p| folder.root().join(p.as_ref())).collect::<Vec<_>>();
                    let folder = Arc::clone(folder);
                    let removed = env.spawn_blocking(move || folder.remove(&files)).await;
                    removed.map_err(|e| {
                        self.context("delete", named).error(ErrorKind::Internal, &e.to_string())
                    })?
                }
                None => self.delete_objects(named, paths).await,
            }
        })
        .await
    }

    async fn delete_objects(&self, named: &str, paths: Vec<Path>) -> Result<()> {
        let mut deleted =
            self.inner.objects.delete_stream(futures::stream::iter(paths.into_iter().map(Ok)).boxed());
        let mut outcome = Ok(());
        while let Some(one) = deleted.next().await {
            match one {
                Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
                Err(e) => outcome = outcome.and(Err(self.context("delete", named).of(&e))),
            }
        }
        outcome
    }

    /// Asks the volume for one object's name: whether it can be reached with these credentials.
    ///
    /// # Errors
    /// `Unavailable`, naming the volume and the cause.
    pub async fn probe(&self) -> Result<()> {
        match self.list("").next().await {
            Some(Err(e)) => Err(e),
            _ => Ok(()),
        }
    }

    /// Runs one operation, with the fault that is planned for it.
    async fn faulty<T>(
        &self,
        action: &'static str,
        key: &str,
        writes: bool,
        operation: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        match self.faults.as_ref().and_then(|f| f.begin(action, key, writes)) {
            None => operation.await,
            Some(Fault::After) => {
                operation.await?;
                Fault::After.error(action, key)
            }
            Some(fault) => fault.error(action, key),
        }
    }

    fn context<'a>(&'a self, action: &'static str, key: &'a str) -> Context<'a> {
        Context { action, key, volume: &self.inner.location, secrets: &self.inner.secrets }
    }

    fn path(&self, action: &'static str, key: &str) -> Result<Path> {
        Path::parse(key)
            .ok()
            .filter(|path| path.as_ref() == key)
            .ok_or_else(|| self.context(action, key).error(ErrorKind::Analysis, "that is no valid key"))
    }

    /// A file that is missing because the whole folder is gone is not missing, but out of reach.
    fn read_error(&self, action: &'static str, key: &str, e: &object_store::Error) -> Error {
        let error = self.context(action, key).of(e);
        match self.check_root() {
            Err(gone) if error.kind() == ErrorKind::NotFound => gone,
            _ => error,
        }
    }

    fn check_root(&self) -> Result<()> {
        match &self.inner.folder {
            Some((folder, _)) if !folder.root().is_dir() => Err(folder_gone(self.location())),
            _ => Ok(()),
        }
    }
}

fn folder_gone(location: &str) -> Error {
    Error::unavailable(format!(
        "the folder of storage volume {location} does not exist: is its disk mounted, is the path right?"
    ))
}

fn info(meta: ObjectMeta) -> ObjectInfo {
    let modified_ms = u64::try_from(meta.last_modified.timestamp_millis()).unwrap_or(0);
    ObjectInfo { key: meta.location.to_string(), bytes: meta.size, modified_ms }
}
