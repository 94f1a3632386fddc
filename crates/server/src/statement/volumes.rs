//! Storage volumes.

use cairn_catalog::{Command, VolumeKind};
use cairn_objects::{Fence, VolumeStore};
use cairn_sql::ast::{AlterStorageVolume, AlterVolumeOp, CreateStorageVolume, DropStorageVolume, VolumeName};
use cairn_types::{Error, Privilege, Result};

use crate::analyze;
use crate::answer::Answer;
use crate::fences;
use crate::session::Session;

/// `CREATE STORAGE VOLUME`: the place is tried before the volume is made.
///
/// # Errors
/// `Unavailable` when it cannot be written to; `AlreadyExists`; `Unsupported` for a type.
pub async fn create(session: &Session, statement: &CreateStorageVolume) -> Result<Answer> {
    session.require_system(Privilege::CreateStorageVolume)?;
    let name = statement.name.0.clone();
    if statement.if_not_exists && session.catalog().volume_named(&name).is_some() {
        return Ok(Answer::done());
    }
    let kind = VolumeKind::parse(&statement.kind)?;
    let [location] = statement.locations.as_slice() else {
        return Err(Error::analysis("a storage volume has exactly one location"));
    };
    let properties = analyze::properties(&statement.properties);
    let store = VolumeStore::create(location, &properties, &session.node.env)?;
    fences::claim_volume(&session.node, &store).await?;
    let comment = statement.comment.clone().unwrap_or_default();
    let location = location.clone();
    session.node.propose(Command::CreateVolume { name, kind, location, comment, properties }).await?;
    Ok(Answer::done())
}

/// `ALTER STORAGE VOLUME`: new credentials are tried before they are kept.
///
/// # Errors
/// As `CREATE`; `Analysis` for an unknown volume.
pub async fn alter(session: &Session, statement: &AlterStorageVolume) -> Result<Answer> {
    session.require_system(Privilege::CreateStorageVolume)?;
    let name = statement.name.0.clone();
    let command = match &statement.op {
        AlterVolumeOp::Comment(comment) => {
            Command::AlterVolume { name, comment: Some(comment.clone()), properties: Default::default() }
        }
        AlterVolumeOp::Set(list) => {
            let properties = analyze::properties(list);
            let catalog = session.catalog();
            let volume = catalog.volume_named(&name);
            let volume = volume.ok_or_else(|| Error::analysis(format!("Unknown storage volume: {name}")))?;
            let mut all = volume.properties.clone();
            all.extend(properties.clone());
            let store = VolumeStore::open(&volume.location, &all, &session.node.env)?;
            store.probe().await?;
            // What answers must be the place where the files are, not another one of the same name.
            if catalog.holds_files(volume.id) {
                Fence::check_epoch(&store, &catalog.cluster().id, catalog.cluster().epoch)
                    .await
                    .map_err(|e| e.context("the volume's files are not there"))?;
            }
            fences::claim_volume(&session.node, &store).await?;
            Command::AlterVolume { name, comment: None, properties }
        }
    };
    session.node.propose(command).await?;
    Ok(Answer::done())
}

/// `DROP STORAGE VOLUME`.
///
/// # Errors
/// `Analysis` for one that is unknown, the default, or in use.
pub async fn drop(session: &Session, statement: &DropStorageVolume) -> Result<Answer> {
    session.require_system(Privilege::CreateStorageVolume)?;
    let name = statement.name.0.clone();
    if statement.if_exists && session.catalog().volume_named(&name).is_none() {
        return Ok(Answer::done());
    }
    session.node.propose(Command::DropVolume { name }).await?;
    Ok(Answer::done())
}

/// `SET v AS DEFAULT STORAGE VOLUME`.
///
/// # Errors
/// `Analysis` for an unknown one.
pub async fn set_default(session: &Session, name: &VolumeName) -> Result<Answer> {
    session.require_system(Privilege::CreateStorageVolume)?;
    session.node.propose(Command::SetDefaultVolume { name: name.0.clone() }).await?;
    Ok(Answer::done())
}
