//! The dialogue by which a client gets in: greeting, TLS, proof of the password. The decisions are made by `auth`.

use crate::account::{Account, NativeHash, Scramble, Sha2Digest};
use crate::auth::{Plugin, Terms, Verdict, judge, plugin_for};
use crate::channel::{Channel, End};
use crate::config::Config;
use crate::handshake::{Answer, LoginRequest, capabilities, greeting, parse_answer, switch_request};
use crate::reply::ErrorReply;
use cairn_env::Env;
use mysql_common::constants::CapabilityFlags;
use std::borrow::Cow;
use std::io;
use std::net::SocketAddr;
use tokio_rustls::TlsAcceptor;

/// caching_sha2_password's notes: no more is needed; send the password itself.
const FAST_AUTH_OK: [u8; 2] = [1, 3];
const SEND_PASSWORD: [u8; 2] = [1, 4];

/// A client that has said who it wants to be.
pub(crate) struct Greeted {
    pub(crate) channel: Channel,
    pub(crate) request: LoginRequest,
    pub(crate) scramble: Scramble,
    pub(crate) tls: bool,
}

/// Greets the client, starts TLS if it wants that, and reads who it is.
pub(crate) async fn greet(
    mut channel: Channel,
    version: &str,
    connection_id: u32,
    config: &Config,
    env: &Env,
) -> io::Result<Greeted> {
    let scramble = new_scramble(env);
    let offers_tls = config.tls.is_some();
    let payload = greeting(version, connection_id, &scramble, offers_tls, config.default_plugin);
    channel.output.put(|out| out.extend_from_slice(&payload));
    let mut answer = read_answer(&mut channel).await?;
    let mut tls = false;
    if answer == Answer::StartTls {
        let Some(settings) = &config.tls else {
            let reply =
                ErrorReply::bad_handshake("the client wants TLS, which this server has no certificate for");
            return turn_away(&mut channel, reply).await;
        };
        channel = match channel.start_tls(&TlsAcceptor::from(settings.clone())).await {
            Ok(channel) => channel,
            Err(End::Gone(error)) => return Err(error),
            Err(End::Refused(reply)) => return Err(io::Error::other(reply.message)),
        };
        answer = read_answer(&mut channel).await?;
        tls = true;
    }
    let Answer::Login(mut request) = answer else {
        return turn_away(&mut channel, ErrorReply::bad_handshake("TLS was asked for twice")).await;
    };
    request.capabilities &= capabilities(offers_tls);
    channel.output.send_sql_states();
    Ok(Greeted { channel, request, scramble, tls })
}

async fn read_answer(channel: &mut Channel) -> io::Result<Answer> {
    let outcome = match channel.ask().await {
        Ok(packet) => parse_answer(&packet).map_err(|error| End::Refused(ErrorReply::bad_handshake(error))),
        Err(end) => Err(end),
    };
    match outcome {
        Ok(answer) => Ok(answer),
        Err(End::Gone(error)) => Err(error),
        Err(End::Refused(reply)) => turn_away(channel, reply).await,
    }
}

/// Tells the client why it does not get in.
pub(crate) async fn turn_away<T>(channel: &mut Channel, reply: ErrorReply) -> io::Result<T> {
    channel.refuse(&reply).await;
    Err(io::Error::other(reply.message))
}

/// How and where a client proves its password.
pub(crate) struct Challenge {
    pub(crate) scramble: Scramble,
    /// The plugin which `scramble` was sent for; without one the client is challenged anew.
    pub(crate) plugin: Option<Plugin>,
    pub(crate) tls: bool,
    pub(crate) peer: SocketAddr,
}

/// Makes sure that the client knows the password of `account` (`None`: there is no such user). Leaves the last packet
/// of the dialogue, if any, unsent in the channel: OK or ERR follows it.
pub(crate) async fn authenticate(
    channel: &mut Channel,
    request: &LoginRequest,
    challenge: Challenge,
    account: Option<Account>,
    env: &Env,
) -> Result<(), End> {
    let Challenge { mut scramble, plugin: offered, tls, peer } = challenge;
    let known = account.is_some();
    let account = account.unwrap_or_else(|| decoy(env));
    let mut terms =
        Terms { tls, may_switch: request.capabilities.contains(CapabilityFlags::CLIENT_PLUGIN_AUTH) };
    let client = request.plugin.as_deref().map_or(Some(Plugin::Native), Plugin::named);
    let mut response = Cow::Borrowed(request.response.as_slice());
    let mut verdict = match client {
        // A proof by another plugin than the offered one may have been made without the challenge: ask again.
        Some(plugin) if offered == Some(plugin) || !terms.may_switch => {
            judge(&account, plugin, &scramble, &response, terms)
        }
        client => Verdict::Switch(plugin_for(&account, client, tls)),
    };
    loop {
        verdict = match verdict {
            Verdict::AcceptFast if known => {
                channel.output.put(|out| out.extend_from_slice(&FAST_AUTH_OK));
                return Ok(());
            }
            Verdict::Accept if known => return Ok(()),
            Verdict::Accept | Verdict::AcceptFast | Verdict::Deny => {
                return Err(denied(&request.user, peer, &response).into());
            }
            Verdict::Impossible => return Err(ErrorReply::needs_other_client(impossible(client)).into()),
            Verdict::AskPassword => {
                channel.output.put(|out| out.extend_from_slice(&SEND_PASSWORD));
                let password = channel.ask().await?;
                let password = password.strip_suffix(&[0]).unwrap_or(&password);
                if account.accepts_password(password) { Verdict::Accept } else { Verdict::Deny }
            }
            Verdict::Switch(plugin) => {
                scramble = new_scramble(env);
                terms.may_switch = false;
                channel.output.put(|out| out.extend_from_slice(&switch_request(plugin, &scramble)));
                response = Cow::Owned(channel.ask().await?.to_vec());
                judge(&account, plugin, &scramble, &response, terms)
            }
        };
    }
}

fn denied(user: &str, peer: SocketAddr, response: &[u8]) -> ErrorReply {
    ErrorReply::access_denied(user, &peer.ip().to_string(), !matches!(response, [] | [0]))
}

fn impossible(client: Option<Plugin>) -> String {
    let client = client.map_or("another plugin", Plugin::name);
    format!(
        "Client does not support authentication protocol requested by server: it uses {client}, for which no hash of \
         the password is kept; connect with TLS, use another client, or set the password again"
    )
}

/// A challenge: 20 bytes which are neither 0 nor `$`, as some clients treat it as text.
fn new_scramble(env: &Env) -> Scramble {
    let mut scramble = Scramble::default();
    env.fill_random(&mut scramble);
    for byte in &mut scramble {
        *byte &= 0x7F;
        if matches!(*byte, 0 | b'$') {
            *byte += 1;
        }
    }
    scramble
}

/// An account that no password opens, for users who do not exist: so that they are refused by the same steps.
fn decoy(env: &Env) -> Account {
    let (mut native, mut sha2) = ([0; 20], [0; 32]);
    env.fill_random(&mut native);
    env.fill_random(&mut sha2);
    Account::from_hashes(Some(NativeHash(native)), Some(Sha2Digest(sha2)))
}
