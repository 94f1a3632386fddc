//! Storage volumes.

use std::fmt;

use super::name::{Property, commas, comment, literal, properties, quoted, when};

/// The name of a storage volume, case as written.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct VolumeName(pub String);

/// `CREATE STORAGE VOLUME [IF NOT EXISTS] v TYPE = t LOCATIONS = ('…') [COMMENT '…'] [PROPERTIES(…)]`.
#[derive(Clone, PartialEq, Debug)]
pub struct CreateStorageVolume {
    pub if_not_exists: bool,
    pub name: VolumeName,
    /// In upper case: `S3`, `FILE`, `HDFS`…
    pub kind: String,
    pub locations: Vec<String>,
    pub comment: Option<String>,
    pub properties: Vec<Property>,
}

/// `ALTER STORAGE VOLUME v SET (…) | COMMENT = '…'`.
#[derive(Clone, PartialEq, Debug)]
pub struct AlterStorageVolume {
    pub name: VolumeName,
    pub op: AlterVolumeOp,
}

/// What changes.
#[derive(Clone, PartialEq, Debug)]
pub enum AlterVolumeOp {
    Set(Vec<Property>),
    Comment(String),
}

/// `DROP STORAGE VOLUME [IF EXISTS] v`.
#[derive(Clone, PartialEq, Debug)]
pub struct DropStorageVolume {
    pub if_exists: bool,
    pub name: VolumeName,
}

impl fmt::Display for VolumeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        quoted(&self.0).fmt(f)
    }
}

impl fmt::Display for CreateStorageVolume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CREATE STORAGE VOLUME {}{}", when(self.if_not_exists, "IF NOT EXISTS "), self.name)?;
        let locations: Vec<String> = self.locations.iter().map(|l| literal(l).to_string()).collect();
        write!(f, " TYPE = {} LOCATIONS = ({})", quoted(&self.kind), commas(&locations))?;
        comment(f, self.comment.as_ref())?;
        properties(f, &self.properties)
    }
}

impl fmt::Display for AlterStorageVolume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ALTER STORAGE VOLUME {} ", self.name)?;
        match &self.op {
            AlterVolumeOp::Set(items) => write!(f, "SET ({})", commas(items)),
            AlterVolumeOp::Comment(text) => write!(f, "COMMENT = {}", literal(text)),
        }
    }
}

impl fmt::Display for DropStorageVolume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DROP STORAGE VOLUME {}{}", when(self.if_exists, "IF EXISTS "), self.name)
    }
}
