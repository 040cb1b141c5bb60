//! Our SCRAM with somebody else's, that of the crate `rsasl`.

use super::PASSWORD;
use rsasl::callback::{Context, Request, SessionCallback, SessionData};
use rsasl::mechanisms::scram::properties::ScramStoredPassword;
use rsasl::mechanisms::scram::{SCRAM_SHA256, SCRAM_SHA256_PLUS};
use rsasl::prelude::*;
use rsasl::property::{AuthId, Password};
use rsasl::validate::{Validate, ValidationError};
use sockeye_proto::scram::{self, Client, ClientFirst, KEY, Keys, MIN_ITERATIONS, Server};

/// Its usual set has none with a channel binding.
static MECHANISMS: &[Mechanism] = &[SCRAM_SHA256, SCRAM_SHA256_PLUS];

const SALT: &[u8; 16] = b"sixteen of those";

fn keys() -> Keys {
    super::keys(SALT, MIN_ITERATIONS)
}

/// What the other side knows, as a client and as a server.
struct Knows {
    bound: bool,
}

impl SessionCallback for Knows {
    fn callback(
        &self,
        _: &SessionData,
        _: &Context,
        request: &mut Request,
    ) -> std::result::Result<(), SessionError> {
        let verifier = keys().verifier(SALT.to_vec(), MIN_ITERATIONS);
        request.satisfy::<AuthId>("anna")?;
        request.satisfy::<Password>(PASSWORD.as_bytes())?;
        let stored =
            ScramStoredPassword::new(MIN_ITERATIONS, SALT, &verifier.stored_key, &verifier.server_key);
        request.satisfy::<ScramStoredPassword>(&stored)?;
        Ok(())
    }

    fn validate(
        &self,
        _: &SessionData,
        context: &Context,
        validate: &mut Validate<'_>,
    ) -> std::result::Result<(), ValidationError> {
        let user = context.get_ref::<AuthId>().map(str::to_owned);
        validate.with::<Name, _>(|| Ok(user))?;
        Ok(())
    }

    fn enable_channel_binding(&self) -> bool {
        self.bound
    }
}

/// Who the other side says has logged in.
struct Name;

impl Validation for Name {
    type Value = Option<String>;
}

/// The session that both are in.
struct Session(Option<[u8; KEY]>);

impl ChannelBindingCallback for Session {
    fn get_cb_data(&self, name: &str) -> Option<&[u8]> {
        self.0
            .as_ref()
            .map(|binding| &binding[..])
            .filter(|_| name == scram::BINDING)
    }
}

const SESSIONS: [(Option<[u8; KEY]>, &str); 2] = [(None, scram::PLAIN), (Some([8; KEY]), scram::PLUS)];

#[test]
fn its_client_logs_in_to_our_server() {
    for (binding, mechanism) in SESSIONS {
        let knows = Knows {
            bound: binding.is_some(),
        };
        let config = SASLConfig::builder()
            .with_registry(Registry::with_mechanisms(MECHANISMS))
            .with_callback(knows)
            .expect("a config");
        let offered = Mechname::parse(mechanism.as_bytes()).expect("a name");
        let client = SASLClient::with_cb(config, Session(binding));
        let mut theirs = client.start_suggested(&[offered]).expect("it knows it");
        let mut first = Vec::new();
        theirs.step(None, &mut first).expect("a first message");
        let first = ClientFirst::read(&first).expect("we know it");
        let verifier = keys().verifier(SALT.to_vec(), MIN_ITERATIONS);
        let challenged = Server::challenge(mechanism, first, verifier, binding, &[1; 18]);
        let (ours, challenge) = challenged.expect("it fits");
        let mut proof = Vec::new();
        theirs.step(Some(&challenge), &mut proof).expect("a proof");
        let accepted = ours.verify(&proof).expect("the right password");
        let done = theirs.step(Some(&accepted.message), &mut Vec::new());
        assert!(done.expect("the right server").is_finished(), "{mechanism}");
    }
}

#[test]
fn our_client_logs_in_to_its_server() {
    for (binding, mechanism) in SESSIONS {
        let knows = Knows {
            bound: binding.is_some(),
        };
        let config = SASLConfig::builder()
            .with_registry(Registry::with_mechanisms(MECHANISMS))
            .with_callback(knows)
            .expect("a config");
        let name = Mechname::parse(mechanism.as_bytes()).expect("a name");
        let server = SASLServer::<Name, _>::with_cb(config, Session(binding));
        let mut theirs = server.start_suggested(name).expect("it knows it");
        let (mut ours, first) = Client::begin("anna", binding, &[1; 18]);
        let (mut challenge, mut verdict) = (Vec::new(), Vec::new());
        theirs.step(Some(&first), &mut challenge).expect("a challenge");
        let question = ours.read(&challenge).expect("a question");
        assert_eq!(
            (&question.salt[..], question.iterations),
            (&SALT[..], MIN_ITERATIONS)
        );
        let proof = ours.prove(&question, &keys());
        theirs.step(Some(&proof), &mut verdict).expect("a verdict");
        ours.confirm(&verdict).expect("the right server");
        assert_eq!(
            theirs.validation().flatten().as_deref(),
            Some("anna"),
            "{mechanism}"
        );
    }
}
