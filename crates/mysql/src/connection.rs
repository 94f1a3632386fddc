//! One connection from greeting to goodbye.

use crate::backend::{Asked, Backend, Control, Login, OkInfo, Session, SessionStatus, Signal, interrupted};
use crate::channel::{Channel, End, Input, Io};
use crate::command::{self, Command};
use crate::config::{Config, PRE_LOGIN_PACKET_BYTES_MAX};
use crate::handshake::{LoginRequest, parse_change_user};
use crate::login::{Challenge, Greeted, authenticate, greet, turn_away};
use crate::params::Statement;
use crate::reply::{Endings, ErrorReply, put_ok, status_flags};
use crate::row::Format;
use crate::statements::put_prepared;
use crate::writer::{ResultWriter, Terms};
use bytes::Bytes;
use cairn_env::Env;
use cairn_types::{Error, Result as CairnResult};
use futures::FutureExt as _;
use mysql_common::constants::CapabilityFlags;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Serves one client until it leaves, is refused or killed, or, being idle, sees `shutdown` become true. Nobody is
/// told of an error here but the client and the log.
pub async fn serve_connection<B: Backend>(
    io: Box<dyn Io>,
    peer: SocketAddr,
    connection_id: u32,
    config: Arc<Config>,
    backend: Arc<B>,
    env: Env,
    mut shutdown: watch::Receiver<bool>,
) {
    let timeout = Duration::from_millis(config.handshake_timeout_ms);
    let opening = Connection::open(io, peer, connection_id, config, backend, env);
    let opened = tokio::select! {
        opened = tokio::time::timeout(timeout, opening) => opened,
        // Who has not logged in yet has nothing to finish.
        _ = shutdown.wait_for(|stop| *stop) => Ok(Err(io::Error::other("the server shuts down"))),
    };
    let end = match opened {
        Err(_) => io::Error::new(io::ErrorKind::TimedOut, "the client did not log in in time"),
        Ok(Err(error)) => error,
        Ok(Ok(mut connection)) => connection.serve(shutdown).await,
    };
    tracing::debug!(connection_id, %peer, "connection ended: {end}");
}

/// A logged-in client.
struct Connection<B: Backend> {
    channel: Channel,
    session: B::Session,
    control: Control,
    signals: watch::Receiver<Asked>,
    capabilities: CapabilityFlags,
    /// Several statements in one query: the client's wish, which it may change.
    multi_statements: bool,
    statements: HashMap<u32, Statement>,
    last_statement: u32,
    place: Place<B>,
}

/// What does not change during a connection.
struct Place<B> {
    peer: SocketAddr,
    connection_id: u32,
    tls: bool,
    /// The challenge of the greeting, which clients without plugins use for every proof.
    scramble: crate::account::Scramble,
    config: Arc<Config>,
    backend: Arc<B>,
    env: Env,
}

/// Whether the connection goes on behind a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Next {
    Command,
    Goodbye,
}

impl<B: Backend> Place<B> {
    async fn begin_session(&self, request: LoginRequest, control: &Control) -> CairnResult<B::Session> {
        let login = Login {
            connection_id: self.connection_id,
            user: request.user,
            peer: self.peer,
            database: request.database,
            tls: self.tls,
            collation: request.collation,
            attributes: request.attributes,
            control: control.clone(),
        };
        self.backend.open(login).await
    }

    /// Checks who the client is and begins its session.
    async fn admit(
        &self,
        channel: &mut Channel,
        request: LoginRequest,
        plugin: Option<crate::auth::Plugin>,
        control: &Control,
    ) -> Result<B::Session, End> {
        let account = self.backend.account(&request.user, self.peer).await;
        let challenge = Challenge { scramble: self.scramble, plugin, tls: self.tls, peer: self.peer };
        authenticate(channel, &request, challenge, account, &self.env).await?;
        self.begin_session(request, control).await.map_err(|error| End::Refused(ErrorReply::from(&error)))
    }
}

impl<B: Backend> Connection<B> {
    async fn open(
        io: Box<dyn Io>,
        peer: SocketAddr,
        connection_id: u32,
        config: Arc<Config>,
        backend: Arc<B>,
        env: Env,
    ) -> io::Result<Self> {
        let write_timeout = Duration::from_millis(config.write_timeout_ms);
        let channel = Channel::new(io, PRE_LOGIN_PACKET_BYTES_MAX, write_timeout);
        let greeted = greet(channel, &backend.server_version(), connection_id, &config, &env).await?;
        let Greeted { mut channel, request, scramble, tls } = greeted;
        let mut capabilities = request.capabilities;
        let multi_statements = capabilities.contains(CapabilityFlags::CLIENT_MULTI_STATEMENTS);
        capabilities.set(
            CapabilityFlags::CLIENT_MULTI_RESULTS,
            multi_statements || capabilities.contains(CapabilityFlags::CLIENT_MULTI_RESULTS),
        );
        let (control, signals) = Control::new();
        let place = Place { peer, connection_id, tls, scramble, config, backend, env };
        let offered = Some(place.config.default_plugin);
        let session = match place.admit(&mut channel, request, offered, &control).await {
            Ok(session) => session,
            Err(End::Gone(error)) => return Err(error),
            Err(End::Refused(reply)) => return turn_away(&mut channel, reply).await,
        };
        channel.input.trust(place.config.packet_bytes_max);
        let mut connection = Self {
            channel,
            session,
            control,
            signals,
            capabilities,
            multi_statements,
            statements: HashMap::new(),
            last_statement: 0,
            place,
        };
        connection.ok();
        connection.channel.output.flush().await?;
        Ok(connection)
    }

    /// Runs commands until there are no more; says why.
    async fn serve(&mut self, mut shutdown: watch::Receiver<bool>) -> io::Error {
        let end = loop {
            match self.serve_command(&mut shutdown).await {
                Ok(Next::Command) => {}
                Ok(Next::Goodbye) => break End::Gone(io::Error::other("the client said goodbye")),
                Err(end) => break end,
            }
        };
        match end {
            End::Gone(error) => error,
            End::Refused(reply) => {
                self.channel.refuse(&reply).await;
                io::Error::other(reply.message)
            }
        }
    }

    async fn serve_command(&mut self, shutdown: &mut watch::Receiver<bool>) -> Result<Next, End> {
        let packet = self.next_command(shutdown).await?;
        self.control.rearm();
        let next = self.run(&packet).await?;
        tokio::select! {
            biased;
            sent = self.channel.output.flush() => sent?,
            () = closed(&mut self.signals) => return Err(killed()),
        }
        Ok(next)
    }

    async fn next_command(&mut self, shutdown: &mut watch::Receiver<bool>) -> Result<Bytes, End> {
        let default = Duration::from_millis(self.place.config.idle_timeout_ms);
        let idle = self.session.idle_timeout().unwrap_or(default);
        tokio::select! {
            biased;
            () = closed(&mut self.signals) => Err(killed()),
            // An error means that nobody is left to ask for a shutdown; that is one too.
            _ = shutdown.wait_for(|stop| *stop) => Err(io::Error::other("the server shuts down").into()),
            packet = tokio::time::timeout(idle, self.channel.command()) => {
                packet.unwrap_or_else(|_| Err(ErrorReply::idle(idle.as_millis()).into()))
            }
        }
    }

    /// Runs one command; its answer is in the output buffer then.
    async fn run(&mut self, packet: &[u8]) -> Result<Next, End> {
        let command = match command::parse(packet) {
            Ok(command) => command,
            // A client does not wait for an answer to these, so an answer would be taken for the next command's.
            Err(reply) if command::is_unanswered(packet) => return Err(reply.into()),
            Err(reply) => {
                self.channel.output.err(&reply);
                return Ok(Next::Command);
            }
        };
        match command {
            Command::Quit => return Ok(Next::Goodbye),
            Command::Query(sql) => return self.query(sql).await,
            Command::Prepare(sql) => return self.prepare(sql).await,
            Command::Execute { statement, body } => return self.execute(statement, body).await,
            Command::CloseStatement(statement) => return self.close_statement(statement).await,
            Command::InitDb(name) => return self.use_database(name).await,
            Command::ProcessKill(id) => return self.kill(id).await,
            Command::FieldList { table, wildcard } => return self.field_list(table, wildcard).await,
            Command::ResetConnection => return self.reset().await,
            Command::ChangeUser(body) => self.change_user(body).await?,
            Command::Ping => self.ok(),
            Command::Statistics => return self.statistics().await,
            Command::MultiStatements(on) => self.set_multi_statements(on),
            Command::SendLongData { statement, parameter, data } => {
                // Of an unknown statement there is nobody to tell; executing it is an error anyway.
                if let Some(statement) = self.statements.get_mut(&statement) {
                    statement.add_long_data(parameter, data, self.place.config.packet_bytes_max);
                }
            }
            Command::ResetStatement(id) => self.reset_statement(id),
        }
        Ok(Next::Command)
    }

    async fn query(&mut self, sql: &str) -> Result<Next, End> {
        let terms = self.terms(Format::Text);
        let mut writer = ResultWriter::new(&mut self.channel.output, terms, self.session.status());
        let work = self.session.query(sql, &mut writer);
        let (outcome, next) = guard(work, &mut self.channel.input, &mut self.signals).await?;
        writer.finish(outcome, status_after(&self.session, next));
        Ok(next)
    }

    async fn execute(&mut self, id: u32, body: &[u8]) -> Result<Next, End> {
        let Some(statement) = self.statements.get_mut(&id) else {
            self.channel.output.err(&ErrorReply::unknown_statement(id));
            return Ok(Next::Command);
        };
        let parameters = match statement.decode(body) {
            Ok(parameters) => parameters,
            Err(error) => {
                self.channel.output.err(&error.into());
                return Ok(Next::Command);
            }
        };
        let terms = self.terms(Format::Binary);
        let mut writer = ResultWriter::new(&mut self.channel.output, terms, self.session.status());
        let work = self.session.execute(id, parameters, &mut writer);
        let (outcome, next) = guard(work, &mut self.channel.input, &mut self.signals).await?;
        writer.finish(outcome, status_after(&self.session, next));
        Ok(next)
    }

    async fn prepare(&mut self, sql: &str) -> Result<Next, End> {
        let statements_max = self.place.config.statements_max;
        let id = match self.last_statement.checked_add(1) {
            Some(id) if self.statements.len() < statements_max => id,
            _ => {
                self.channel.output.err(&ErrorReply::too_many_statements(statements_max));
                return Ok(Next::Command);
            }
        };
        self.last_statement = id;
        let work = self.session.prepare(id, sql);
        let (outcome, next) = guard(work, &mut self.channel.input, &mut self.signals).await?;
        let outcome = outcome.and_then(|prepared| {
            let status = status_flags(self.session.status(), false);
            put_prepared(&mut self.channel.output, id, &prepared, Endings::of(self.capabilities), status)?;
            self.statements.insert(id, Statement::new(prepared.parameters));
            Ok(())
        });
        if let Err(error) = outcome {
            self.channel.output.err(&ErrorReply::from(&error));
        }
        Ok(next)
    }

    async fn close_statement(&mut self, id: u32) -> Result<Next, End> {
        if self.statements.remove(&id).is_none() {
            return Ok(Next::Command);
        }
        let work = self.session.close_statement(id).map(Ok);
        // There is no answer that could carry an error.
        let (_, next) = guard(work, &mut self.channel.input, &mut self.signals).await?;
        Ok(next)
    }

    async fn field_list(&mut self, table: &str, wildcard: &str) -> Result<Next, End> {
        let work = self.session.field_list(table, wildcard);
        let (outcome, next) = guard(work, &mut self.channel.input, &mut self.signals).await?;
        match outcome {
            Ok(columns) => {
                columns.iter().for_each(|column| self.channel.output.put(|out| column.put_with_default(out)));
                self.end();
            }
            Err(error) => self.channel.output.err(&ErrorReply::from(&error)),
        }
        Ok(next)
    }

    async fn statistics(&mut self) -> Result<Next, End> {
        let work = self.session.statistics().map(Ok);
        let (outcome, next) = guard(work, &mut self.channel.input, &mut self.signals).await?;
        match outcome {
            Ok(text) => self.channel.output.put(|out| out.extend_from_slice(text.as_bytes())),
            Err(error) => self.channel.output.err(&ErrorReply::from(&error)),
        }
        Ok(next)
    }

    async fn use_database(&mut self, name: &str) -> Result<Next, End> {
        let work = self.session.use_database(name);
        let done = guard(work, &mut self.channel.input, &mut self.signals).await?;
        Ok(self.answer(done))
    }

    async fn kill(&mut self, connection_id: u32) -> Result<Next, End> {
        let work = self.session.kill(connection_id);
        let done = guard(work, &mut self.channel.input, &mut self.signals).await?;
        Ok(self.answer(done))
    }

    fn reset_statement(&mut self, id: u32) {
        match self.statements.get_mut(&id) {
            Some(statement) => {
                statement.reset();
                self.ok();
            }
            None => self.channel.output.err(&ErrorReply::unknown_statement(id)),
        }
    }

    async fn reset(&mut self) -> Result<Next, End> {
        self.statements.clear();
        let done = guard(self.session.reset(), &mut self.channel.input, &mut self.signals).await?;
        Ok(self.answer(done))
    }

    /// Logs in anew; a client which cannot is sent away.
    async fn change_user(&mut self, body: &[u8]) -> Result<(), End> {
        let request = parse_change_user(body, self.capabilities).map_err(ErrorReply::from)?;
        self.statements.clear();
        let timeout = Duration::from_millis(self.place.config.handshake_timeout_ms);
        let admitted = self.place.admit(&mut self.channel, request, None, &self.control);
        let admitted = tokio::time::timeout(timeout, admitted).await;
        self.session =
            admitted.map_err(|_| ErrorReply::bad_handshake("changing the user took too long"))??;
        self.ok();
        Ok(())
    }

    fn set_multi_statements(&mut self, on: bool) {
        self.multi_statements = on;
        if on {
            self.capabilities |= CapabilityFlags::CLIENT_MULTI_RESULTS;
        }
        self.end();
    }

    fn terms(&self, format: Format) -> Terms {
        Terms { capabilities: self.capabilities, format, multi_statements: self.multi_statements }
    }

    fn ok(&mut self) {
        let status = status_flags(self.session.status(), false);
        self.channel.output.put(|out| put_ok(out, status, &OkInfo::default()));
    }

    fn end(&mut self) {
        let status = status_flags(self.session.status(), false);
        self.channel.output.put(|out| Endings::of(self.capabilities).put_end(out, status, 0));
    }

    fn answer(&mut self, (outcome, next): (CairnResult<()>, Next)) -> Next {
        match outcome {
            Ok(()) => self.ok(),
            Err(error) => self.channel.output.err(&ErrorReply::from(&error)),
        }
        next
    }
}

/// The session's flags, unless it panicked and is not to be touched any more.
fn status_after(session: &impl Session, next: Next) -> SessionStatus {
    if next == Next::Command { session.status() } else { SessionStatus::default() }
}

/// Does a session's `work` while watching for the client's leaving and for kills. Whichever comes first drops the
/// other: a client which left is an `Err`, a kill or a panic the error to be told.
async fn guard<T>(
    work: impl Future<Output = CairnResult<T>> + Send,
    input: &mut Input,
    signals: &mut watch::Receiver<Asked>,
) -> Result<(CairnResult<T>, Next), End> {
    tokio::select! {
        biased;
        done = AssertUnwindSafe(work).catch_unwind() => match done {
            Ok(outcome) => Ok((outcome, Next::Command)),
            Err(_) => {
                tracing::error!("a session panicked; its connection is closed");
                let bug = "The statement made the server panic: this is a bug, please report it with the statement; \
                           the connection is closed";
                Ok((Err(Error::internal(bug)), Next::Goodbye))
            }
        },
        () = raised(signals) => Ok((Err(interrupted()), Next::Command)),
        error = input.gone() => Err(End::Gone(error)),
    }
}

/// Returns when the running command shall stop.
async fn raised(signals: &mut watch::Receiver<Asked>) {
    if signals.wait_for(|asked| asked.signal != Signal::None && !asked.finishing).await.is_err() {
        std::future::pending().await
    }
}

/// Returns when the connection shall end.
async fn closed(signals: &mut watch::Receiver<Asked>) {
    if signals.wait_for(|asked| asked.signal == Signal::Close).await.is_err() {
        std::future::pending().await
    }
}

fn killed() -> End {
    End::Gone(io::Error::other("the connection was killed"))
}
