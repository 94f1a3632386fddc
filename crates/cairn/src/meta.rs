//! `cairn meta`: the metadata of a stopped server, for people.

use cairn_catalog::image;
use cairn_journal::{Inspection, inspect};
use cairn_server::CatalogState;
use cairn_types::{Error, Result};

use crate::args::MetaCommand;

/// Runs one command.
pub fn run(command: &MetaCommand) -> Result<()> {
    match command {
        MetaCommand::Show(args) => {
            let found = inspect::<CatalogState>(&args.path)?;
            let json = image::to_json(&found.newest.state.0, found.newest.index);
            let text = serde_json::to_string_pretty(&json).map_err(|e| Error::internal(e.to_string()))?;
            println!("{text}");
            Ok(())
        }
        MetaCommand::Check(args) => check(&inspect::<CatalogState>(&args.path)?),
    }
}

fn check(found: &Inspection<CatalogState>) -> Result<()> {
    for image in &found.images {
        println!(
            "image    index {:>10}  {:>12} bytes  checksum {:08x}  {}",
            image.index,
            image.bytes,
            image.checksum,
            image.path.display()
        );
    }
    if let Some(journal) = &found.journal {
        println!(
            "journal  index {:>10}  {:>12} entries  {}",
            journal.last_index,
            journal.entries,
            journal.path.display()
        );
    }
    let catalog = &found.newest.state.0;
    println!(
        "catalog  index {:>10}  cluster {} epoch {}: {} databases, {} tables and views, {} partitions, {} snapshots",
        found.newest.index,
        catalog.cluster().id,
        catalog.cluster().epoch,
        catalog.databases().count(),
        catalog.tables().count(),
        catalog.partitions().count(),
        catalog.snapshots().count()
    );
    match found.damaged.first() {
        None => {
            println!("whole");
            Ok(())
        }
        Some((path, error)) => Err(Error::corrupt(format!(
            "{} is damaged ({error}); the state above does not need it, a new image (ALTER SYSTEM CREATE IMAGE) replaces it",
            path.display()
        ))),
    }
}
