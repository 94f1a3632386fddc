//! Making a journal: everything is built in a folder beside and takes its place by one rename, so that a journal is
//! there whole or not at all.

use std::path::Path;
use std::sync::Arc;

use cairn_env::{Env, files};
use cairn_types::{Error, Result};
use openraft::CommittedLeaderId;

use crate::errors::REMEDY;
use crate::group::{LogId, Membership, Node, StoredMembership, Vote};
use crate::image;
use crate::layout::Layout;
use crate::log_file::LogFile;
use crate::machine::Point;
use crate::options::Options;
use crate::records::Progress;
use crate::state::{State, Versioned};

/// The term in which a group begins. Its only member led it from the start, so it serves at once.
const FIRST_TERM: u64 = 1;

/// Makes a new group of one whose state is `state` after command `index`.
///
/// # Errors
/// `AlreadyExists` when the directory holds a journal; as the file system says. Nothing is left in place then.
pub(crate) fn create<S: State>(
    data_dir: &Path,
    env: &Env,
    options: &Options,
    index: u64,
    state: S,
) -> Result<()> {
    let place = Layout::of_data_dir(data_dir);
    if !files::list(&place.meta)?.is_empty() {
        return Err(Error::already_exists(format!(
            "{} is not empty: a new journal needs a new data directory; to use the one that is there, start without \
             making a new one",
            place.meta.display()
        )));
    }
    let making = Layout::in_the_making(data_dir);
    remove_unfinished(&making)?;
    files::create_dir(&making.images())?;
    fill(&making, env, options, index, state)?;
    for dir in [making.images(), making.meta.clone()] {
        files::sync_dir(&dir)?;
    }
    // An empty folder of that name gives way to a rename.
    files::rename(&making.meta, &place.meta)
}

fn fill<S: State>(layout: &Layout, env: &Env, options: &Options, index: u64, state: S) -> Result<()> {
    let member_id = options.member_id;
    let group = env.random_hex();
    // The log begins after an entry that made this node the only member; the image holds it.
    let log_id = LogId::new(CommittedLeaderId::new(FIRST_TERM, member_id), 0);
    let nodes = std::collections::BTreeMap::from([(member_id, Node::new(&options.address))]);
    let members = Membership::new(vec![[member_id].into()], nodes);
    let point = Point {
        log_id: Some(log_id),
        membership: StoredMembership::new(Some(log_id), members),
        versioned: Arc::new(Versioned { index, time_ms: env.now_ms(), state }),
    };
    let name = format!("{index}-{}", env.random_hex());
    let bytes = image::encode(&group, name, &point)?;
    image::store::<S>(env, layout, index, &bytes)?;
    let progress = Progress { group, sequence: 0, committed: Some(log_id), purged: Some(log_id), member_id };
    LogFile::create(layout, &progress, Some(Vote::new_committed(FIRST_TERM, member_id)))
}

/// Removes what an interrupted [`create`] left. It was never a journal, so nothing was acknowledged in it.
fn remove_unfinished(making: &Layout) -> Result<()> {
    for dir in [making.images(), making.meta.clone()] {
        for path in files::list(&dir)? {
            if !path.is_dir() {
                files::remove(&path)?;
            }
        }
    }
    Ok(())
}

/// Says what is wrong with a data directory that has no `meta` folder.
///
/// # Errors
/// Always `NotFound` unless the folder is there.
pub(crate) fn check_made(data_dir: &Path) -> Result<()> {
    let (place, making) = (Layout::of_data_dir(data_dir), Layout::in_the_making(data_dir));
    if place.meta.is_dir() {
        return Ok(());
    }
    if making.meta.is_dir() {
        return Err(Error::not_found(format!(
            "{} holds a journal whose making was interrupted, and nothing was acknowledged in it: make it again \
             (start a new cluster, or restore, in the same directory)",
            making.meta.display()
        )));
    }
    Err(Error::not_found(format!(
        "{} holds no journal: start a new cluster there; if there was one, {REMEDY}",
        data_dir.display()
    )))
}
