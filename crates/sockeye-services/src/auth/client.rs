//! The other side: a client that proves who it is.

use super::dialogue::Sent;
use super::{new_verifier, password};
use crate::background::off_loop;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sockeye::{Class, Connection, Error, Result};
use sockeye_proto::challenge::{CHALLENGE, Digest};
use sockeye_proto::frames::{self, BadFrame};
use sockeye_proto::scram;
use tokio::io::{AsyncBufReadExt, AsyncReadExt};
use zeroize::Zeroizing;

/// Answers the legacy challenge. There is no verdict: a server that isn't content closes.
///
/// # Errors
/// When the server hangs up before it has sent its challenge.
pub async fn answer_challenge(conn: &mut Connection, digest: Digest, secret: &[u8]) -> Result<()> {
    let mut challenge = [0; CHALLENGE];
    if let Err(error) = conn.read_exact(&mut challenge).await {
        let error = Error::io("receive challenge", error).at(conn.peer());
        return Err(error.advise("does this server send one?"));
    }
    conn.send_all(digest.answer(secret, &challenge).as_bytes()).await
}

/// Logs in with a user's password, by SCRAM-SHA-256; over TLS by SCRAM-SHA-256-PLUS, and by nothing else. The server proves
/// that it knows the account, too.
///
/// # Errors
/// When the server refuses, or isn't who it should be.
pub async fn log_in(conn: &mut Connection, user: &str, password: &str) -> Result<()> {
    let binding = conn.tls_binding();
    if binding.is_none() && conn.tls().is_some() {
        return Err(refused(
            conn,
            "this server speaks no TLS 1.3, which a login over TLS needs",
        ));
    }
    let (mut client, message) = scram::Client::begin(user, binding, &password::random::<18>()?);
    let request = json!({
        "id": 1,
        "operate": "login",
        "mechanism": client.mechanism(),
        "message": STANDARD.encode(message),
    });
    let answer = ask(conn, LOG_IN, &request).await?;
    let challenge = message_of(conn, &answer)?;
    let question = client
        .read(&challenge)
        .map_err(|error| refused(conn, error.to_string()))?;
    let (secret, salt) = (Zeroizing::new(password.to_owned()), question.salt.clone());
    let iterations = question.iterations;
    let keys = off_loop(move || password::keys(&secret, &salt, iterations)).await??;
    let proof = client.prove(&question, &keys);
    let request = json!({"id": 2, "operate": "proof", "message": STANDARD.encode(proof)});
    let answer = ask(conn, LOG_IN, &request).await?;
    let verdict = message_of(conn, &answer)?;
    client.confirm(&verdict).map_err(|error| {
        refused(conn, error.to_string()).advise("somebody may be in between: tell it nothing")
    })
}

/// Makes an account, where the server lets one; `invitation` is a code that its operator has given.
///
/// # Errors
/// When the server refuses, or the password won't do.
pub async fn register(
    conn: &mut Connection,
    user: &str,
    password: &str,
    invitation: Option<&str>,
) -> Result<()> {
    let mut request = with_verifier(password).await?;
    request["operate"] = "register".into();
    request["user"] = user.into();
    if let Some(code) = invitation {
        request["invite"] = code.into();
    }
    ask(conn, "register", &request).await.map(drop)
}

/// Gives the account that has logged in on this connection another password.
///
/// # Errors
/// As [`register`].
pub async fn change_password(conn: &mut Connection, password: &str) -> Result<()> {
    let mut request = with_verifier(password).await?;
    request["operate"] = "password".into();
    ask(conn, "change password", &request).await.map(drop)
}

async fn with_verifier(password: &str) -> Result<Value> {
    let password = Zeroizing::new(password.to_owned());
    let verifier = off_loop(move || new_verifier(&password)).await??;
    let mut request = json!(Sent::of(&verifier));
    request["id"] = 1.into();
    Ok(request)
}

const LOG_IN: &str = "log in";

fn refused(conn: &Connection, why: impl Into<String>) -> Error {
    refused_to(LOG_IN, conn, why)
}

fn refused_to(op: &'static str, conn: &Connection, why: impl Into<String>) -> Error {
    Error::new(op, Class::General, why.into()).at(conn.peer())
}

/// The server speaks, and not of a login.
fn no_login(conn: &Connection, error: &BadFrame) -> Error {
    match error {
        BadFrame::Tls => refused(conn, error.to_string()),
        _ => refused(conn, "the server answers with something else than a login")
            .advise("perhaps it asks for none: leave the user out (--user)"),
    }
}

fn message_of(conn: &Connection, ok: &Value) -> Result<Vec<u8>> {
    let message = ok["message"].as_str().and_then(|text| STANDARD.decode(text).ok());
    message.ok_or_else(|| refused(conn, "the server's answer has no message in it"))
}

/// Sends a request and returns what the server says to it.
async fn ask(conn: &mut Connection, op: &'static str, request: &Value) -> Result<Value> {
    let frame = frames::encode(request).map_err(|error| refused(conn, error.to_string()))?;
    conn.send_all(&frame).await?;
    let mut decoder = frames::Decoder::new();
    let frame = loop {
        let peer = conn.peer().clone();
        let read = conn.fill_buf().await;
        let bytes = read.map_err(|error| Error::io(op, error).at(peer))?;
        if bytes.is_empty() {
            let error = refused_to(op, conn, "the server has closed the connection");
            return Err(error.advise("does it ask for a login of this kind?"));
        }
        let taken = decoder.push(bytes);
        conn.consume(taken);
        if let Some(frame) = decoder.next().map_err(|error| no_login(conn, &error))? {
            break frame;
        }
    };
    let answer: Value = frames::decode(&frame).map_err(|error| no_login(conn, &error))?;
    match (answer.get("ok"), answer["error"]["message"].as_str()) {
        (Some(ok), _) => Ok(ok.clone()),
        (None, Some(why)) => Err(refused_to(op, conn, why.escape_debug().to_string())),
        (None, None) => Err(refused_to(op, conn, "the server's answer says nothing")),
    }
}
