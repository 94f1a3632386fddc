//! What keeps the cluster running: settings, snapshots, images, the pause of materialized views.

use std::fmt;

use super::interval::Interval;
use super::name::{Property, commas, literal, properties, quoted, when};
use super::volume::VolumeName;

/// `ADMIN …` and `ALTER SYSTEM …`.
#[derive(Clone, PartialEq, Debug)]
pub enum Admin {
    /// `ADMIN SET FRONTEND CONFIG ("k" = "v") [WITH PERSISTENT]`.
    SetFrontendConfig { settings: Vec<Property>, persistent: bool },
    /// `ADMIN SHOW FRONTEND CONFIG [LIKE 'pattern']`.
    ShowFrontendConfig { pattern: Option<String> },
    /// `ADMIN SET AUTOMATED CLUSTER SNAPSHOT ON [INTERVAL n unit] [STORAGE VOLUME v]`.
    AutomatedSnapshotOn { interval: Option<Interval>, volume: Option<VolumeName> },
    /// `ADMIN SET AUTOMATED CLUSTER SNAPSHOT OFF`.
    AutomatedSnapshotOff,
    /// `ADMIN ALTER AUTOMATED CLUSTER SNAPSHOT SET INTERVAL n unit`.
    AlterAutomatedSnapshot { interval: Interval },
    /// `ADMIN SHOW AUTOMATED CLUSTER SNAPSHOT`.
    ShowAutomatedSnapshot,
    /// `ADMIN PAUSE MATERIALIZED VIEWS`: all that are active become inactive until they are resumed.
    PauseMaterializedViews,
    /// `ADMIN RESUME MATERIALIZED VIEWS`: exactly those become active that were paused.
    ResumeMaterializedViews,
    /// `ALTER SYSTEM CREATE IMAGE`.
    CreateImage,
}

/// `CREATE SNAPSHOT [IF NOT EXISTS] [name] [PROPERTIES(…)]`.
#[derive(Clone, PartialEq, Debug)]
pub struct CreateSnapshot {
    pub if_not_exists: bool,
    /// `None`: the server names it.
    pub name: Option<String>,
    pub properties: Vec<Property>,
}

/// `DROP SNAPSHOT [IF EXISTS] name`.
#[derive(Clone, PartialEq, Debug)]
pub struct DropSnapshot {
    pub if_exists: bool,
    pub name: String,
}

impl fmt::Display for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SetFrontendConfig { settings, persistent } => {
                let end = when(*persistent, " WITH PERSISTENT");
                write!(f, "ADMIN SET FRONTEND CONFIG ({}){end}", commas(settings))
            }
            Self::ShowFrontendConfig { pattern: None } => f.write_str("ADMIN SHOW FRONTEND CONFIG"),
            Self::ShowFrontendConfig { pattern: Some(pattern) } => {
                write!(f, "ADMIN SHOW FRONTEND CONFIG LIKE {}", literal(pattern))
            }
            Self::AutomatedSnapshotOn { interval, volume } => {
                f.write_str("ADMIN SET AUTOMATED CLUSTER SNAPSHOT ON")?;
                if let Some(interval) = interval {
                    write!(f, " {interval}")?;
                }
                match volume {
                    Some(volume) => write!(f, " STORAGE VOLUME {volume}"),
                    None => Ok(()),
                }
            }
            Self::AutomatedSnapshotOff => f.write_str("ADMIN SET AUTOMATED CLUSTER SNAPSHOT OFF"),
            Self::AlterAutomatedSnapshot { interval } => {
                write!(f, "ADMIN ALTER AUTOMATED CLUSTER SNAPSHOT SET {interval}")
            }
            Self::ShowAutomatedSnapshot => f.write_str("ADMIN SHOW AUTOMATED CLUSTER SNAPSHOT"),
            Self::PauseMaterializedViews => f.write_str("ADMIN PAUSE MATERIALIZED VIEWS"),
            Self::ResumeMaterializedViews => f.write_str("ADMIN RESUME MATERIALIZED VIEWS"),
            Self::CreateImage => f.write_str("ALTER SYSTEM CREATE IMAGE"),
        }
    }
}

impl fmt::Display for CreateSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CREATE SNAPSHOT{}", when(self.if_not_exists, " IF NOT EXISTS"))?;
        if let Some(name) = &self.name {
            write!(f, " {}", quoted(name))?;
        }
        properties(f, &self.properties)
    }
}

impl fmt::Display for DropSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DROP SNAPSHOT {}{}", when(self.if_exists, "IF EXISTS "), quoted(&self.name))
    }
}
