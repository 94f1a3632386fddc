//! The command line. Scripts rely on it: names and meanings here do not change.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// What `--data-dir` is without being given.
pub const DATA_DIR_DEFAULT: &str = "./cairn-data";
/// What `--listen` is without being given, here and in the configuration.
pub const LISTEN_DEFAULT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
pub const MYSQL_PORT_DEFAULT: u16 = 9030;
pub const HTTP_PORT_DEFAULT: u16 = 8030;

/// An analytical database, StarRocks-compatible, whose whole state can be named, kept and brought back.
#[derive(Parser, Clone, PartialEq, Eq, Debug)]
#[command(name = "cairn", version, propagate_version = true, arg_required_else_help = true)]
pub struct CommandLine {
    #[command(subcommand)]
    pub command: Command,
}

/// What is to be done.
#[derive(Subcommand, Clone, PartialEq, Eq, Debug)]
pub enum Command {
    /// Runs the server: frontend and compute node in one process
    Start(StartArgs),
    /// Sends SQL to a running server and prints the results
    Sql(SqlArgs),
    /// Lists, verifies or restores cluster snapshots in a storage volume, without a running server
    #[command(subcommand, arg_required_else_help = true)]
    Snapshot(SnapshotCommand),
    /// Shows or checks the metadata of a stopped server, or of an image file
    #[command(subcommand, arg_required_else_help = true)]
    Meta(MetaCommand),
}

/// Prints one line when the server is ready. SIGTERM or Ctrl-C ends it cleanly; killing it loses nothing that was
/// acknowledged.
///
/// What is not given here is taken from the configuration file, and then from the defaults.
#[derive(Args, Clone, PartialEq, Eq, Debug)]
pub struct StartArgs {
    /// Folder of the metadata; made at the first start [default: ./cairn-data]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,

    /// Default storage volume of a new cluster: file:///… or s3://… [default: the folder `storage` in the data
    /// directory]
    ///
    /// Credentials for s3:// come from the configuration or the environment. A cluster that exists already knows its
    /// volumes: there this must name the same place or be left out.
    #[arg(long, value_name = "URI")]
    pub storage: Option<String>,

    /// Address to listen on [default: 127.0.0.1]
    ///
    /// On any other than loopback, root needs a password first.
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<IpAddr>,

    /// Port of the MySQL protocol; 0 takes a free one [default: 9030]
    #[arg(long, value_name = "PORT")]
    pub mysql_port: Option<u16>,

    /// Port of HTTP (Stream Load, REST, metrics); 0 takes a free one [default: 8030]
    #[arg(long, value_name = "PORT")]
    pub http_port: Option<u16>,

    /// Configuration file [default: cairn.toml, if it is there]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Restore this snapshot into a new data directory before serving
    ///
    /// A `cluster_snapshot.yaml` in StarRocks' format: the path of the snapshot, and the storage volumes with their
    /// new location and credentials.
    #[arg(long, value_name = "FILE")]
    pub cluster_snapshot: Option<PathBuf>,
}

/// Statements end with `;`. The exit status is 1 at the first error, and the statements after it are not sent.
#[derive(Args, Clone, PartialEq, Eq)]
pub struct SqlArgs {
    /// Statements to run, separated by `;`; without it they are read from standard input
    #[arg(short = 'e', long = "execute", value_name = "STATEMENT")]
    pub execute: Option<String>,

    /// Host of the server
    #[arg(long, default_value = "127.0.0.1")]
    pub host: String,

    /// Its MySQL port
    #[arg(long, default_value_t = MYSQL_PORT_DEFAULT)]
    pub port: u16,

    /// Name of the user
    #[arg(long, default_value = "root")]
    pub user: String,

    /// Password of the user
    ///
    /// Other users of this machine can see the command line: the environment variable is the better place.
    #[arg(
        long,
        env = "CAIRN_PASSWORD",
        hide_env_values = true,
        default_value = "",
        hide_default_value = true
    )]
    pub password: String,

    /// Database to use
    #[arg(long)]
    pub database: Option<String>,

    /// How results are printed
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

impl std::fmt::Debug for SqlArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqlArgs")
            .field("execute", &self.execute)
            .field("host", &self.host)
            .field("port", &self.port)
            .field("user", &self.user)
            .field("database", &self.database)
            .field("format", &self.format)
            .finish_non_exhaustive()
    }
}

/// How results are printed.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// Aligned columns, for people; holds a whole result in memory
    Table,
    /// A header and lines with commas; NULL is \N
    Csv,
    /// One array of objects for each result
    Json,
}

/// Works on a storage volume: `file:///…` or `s3://…`.
#[derive(Subcommand, Clone, PartialEq, Eq, Debug)]
pub enum SnapshotCommand {
    /// Lists the snapshots in a storage volume
    Ls(VolumeArgs),
    /// Reads every byte and every reference of a snapshot, and says whether it is whole
    Verify(VolumeArgs),
    /// Restores a snapshot into a new data directory
    Restore(RestoreArgs),
}

/// Where the snapshots are.
#[derive(Args, Clone, PartialEq, Eq, Debug)]
pub struct VolumeArgs {
    /// A storage volume, a cluster's `…/meta` in it, or one snapshot's folder
    #[arg(value_name = "URI")]
    pub uri: String,

    /// Configuration file with the credentials of the volume [default: cairn.toml, if it is there]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Checks everything first, destroys nothing, builds beside and switches once.
#[derive(Args, Clone, PartialEq, Eq, Debug)]
pub struct RestoreArgs {
    #[command(flatten)]
    pub volume: VolumeArgs,

    /// The new data directory; must not exist or be empty
    #[arg(long, value_name = "NEW")]
    pub data_dir: PathBuf,

    /// Where a volume of the cluster is now; may be given several times
    #[arg(long, value_name = "NAME=LOCATION", value_parser = name_and_location)]
    pub storage_volume: Vec<(String, String)>,

    /// Check and say what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// Reads the metadata and changes nothing.
#[derive(Subcommand, Clone, PartialEq, Eq, Debug)]
pub enum MetaCommand {
    /// Prints the catalog as JSON
    Show(MetaArgs),
    /// Says whether the catalog is whole
    Check(MetaArgs),
}

/// Where the metadata is.
#[derive(Args, Clone, PartialEq, Eq, Debug)]
pub struct MetaArgs {
    /// The data directory of a stopped server, or an image file
    #[arg(value_name = "DIR_OR_IMAGE")]
    pub path: PathBuf,
}

fn name_and_location(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, location)) if !name.is_empty() => Ok((name.to_owned(), location.to_owned())),
        _ => Err("it must be NAME=LOCATION".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn parse(line: &str) -> Result<Command, String> {
        let words = line.split_whitespace();
        CommandLine::try_parse_from(words).map(|parsed| parsed.command).map_err(|error| error.to_string())
    }

    #[test]
    fn the_definition_is_consistent() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn start_takes_what_the_configuration_may_say() {
        let none = StartArgs {
            data_dir: None,
            storage: None,
            listen: None,
            mysql_port: None,
            http_port: None,
            config: None,
            cluster_snapshot: None,
        };
        assert_eq!(parse("cairn start"), Ok(Command::Start(none)));
        let all = StartArgs {
            data_dir: Some("./d".into()),
            storage: Some("s3://b/p".to_owned()),
            listen: Some(IpAddr::from([0, 0, 0, 0])),
            mysql_port: Some(1),
            http_port: Some(2),
            config: Some("c.toml".into()),
            cluster_snapshot: Some("cluster_snapshot.yaml".into()),
        };
        let line = "cairn start --data-dir ./d --storage s3://b/p --listen 0.0.0.0 --mysql-port 1 --http-port=2 \
                    --config c.toml --cluster-snapshot cluster_snapshot.yaml";
        assert_eq!(parse(line), Ok(Command::Start(all)));
    }

    #[test]
    fn sql_has_defaults_and_hides_the_password() {
        let Ok(Command::Sql(args)) = parse("cairn sql -e SHOW") else { panic!("sql") };
        assert_eq!(args.execute.as_deref(), Some("SHOW"));
        assert_eq!((args.host.as_str(), args.port, args.user.as_str()), ("127.0.0.1", 9030, "root"));
        assert_eq!((args.database, args.format), (None, Format::Table));
        let line = "cairn sql --host h --port 1 --user u --password secret --database d --format json";
        let Ok(Command::Sql(args)) = parse(line) else { panic!("sql") };
        assert_eq!((args.execute.is_none(), args.port, args.format), (true, 1, Format::Json));
        assert_eq!((args.password.as_str(), args.database.as_deref()), ("secret", Some("d")));
        assert!(!format!("{args:?}").contains("secret"));
    }

    #[test]
    fn snapshot_and_meta_work_on_places() {
        let volume = VolumeArgs { uri: "file:///b".to_owned(), config: None };
        let cases = [
            ("cairn snapshot ls file:///b", Command::Snapshot(SnapshotCommand::Ls(volume.clone()))),
            ("cairn snapshot verify file:///b", Command::Snapshot(SnapshotCommand::Verify(volume.clone()))),
            (
                "cairn snapshot restore file:///b --data-dir n --dry-run",
                Command::Snapshot(SnapshotCommand::Restore(RestoreArgs {
                    volume,
                    data_dir: "n".into(),
                    storage_volume: Vec::new(),
                    dry_run: true,
                })),
            ),
            ("cairn meta show d", Command::Meta(MetaCommand::Show(MetaArgs { path: "d".into() }))),
            ("cairn meta check i", Command::Meta(MetaCommand::Check(MetaArgs { path: "i".into() }))),
        ];
        for (line, expected) in cases {
            assert_eq!(parse(line), Ok(expected), "{line}");
        }
    }

    #[test]
    fn what_is_not_understood_is_named() {
        let cases = [
            ("cairn", "Usage"),
            ("cairn stop", "'stop'"),
            ("cairn start --mysql-port 70000", "70000"),
            ("cairn start --listen here", "here"),
            ("cairn start extra", "extra"),
            ("cairn sql --format xml", "xml"),
            ("cairn snapshot", "Usage"),
            ("cairn snapshot restore file:///b", "--data-dir"),
            ("cairn snapshot restore file:///b --data-dir n --storage-volume v", "NAME=LOCATION"),
            ("cairn meta show", "DIR_OR_IMAGE"),
        ];
        for (line, expected) in cases {
            let error = parse(line).expect_err(line);
            assert!(error.contains(expected), "{line}: {error}");
        }
    }
}
