//! SCRAM, each message of a login in the place of every other.

use sockeye_proto::scram::{
    Client, ClientFirst, KEY, Keys, MAX_ITERATIONS, MAX_MESSAGE, MIN_ITERATIONS, MIN_SALT, PLAIN, PLUS,
    Server,
};

/// A login up to its end: what the client said first, what the server asked, the proof, and the server's own.
fn messages(binding: Option<[u8; KEY]>) -> [Vec<u8>; 4] {
    let (mut client, first) = Client::begin("anna", binding, &[1; 18]);
    let (server, challenge) = challenged(&first, binding).expect("a challenge");
    let question = client.read(&challenge).expect("a question");
    let proof = client.prove(&question, &Keys::of(&[9; KEY]));
    let accepted = server.verify(&proof).expect("the right proof").message;
    [first, challenge, proof, accepted]
}

fn challenged(first: &[u8], binding: Option<[u8; KEY]>) -> Option<(Server, Vec<u8>)> {
    let mechanism = if binding.is_some() { PLUS } else { PLAIN };
    let verifier = Keys::of(&[9; KEY]).verifier(vec![5; 16], MIN_ITERATIONS);
    let first = ClientFirst::read(first).ok()?;
    Server::challenge(mechanism, first, verifier, binding, &[2; 18]).ok()
}

/// Whatever a side takes for a beginning, it takes the right end of it alone.
pub(crate) fn holds(message: &[u8]) {
    for binding in [None, Some([3; KEY])] {
        let [first, challenge, proof, accepted] = messages(binding);
        if let Some((server, _)) = challenged(message, binding) {
            assert!(message == first || server.verify(&proof).is_err());
        }
        let (server, _) = challenged(&first, binding).expect("a challenge");
        assert!(message == proof || server.verify(message).is_err());
        let (mut client, _) = Client::begin("anna", binding, &[1; 18]);
        if let Ok(question) = client.read(message) {
            assert!((MIN_ITERATIONS..=MAX_ITERATIONS).contains(&question.iterations));
            assert!(question.salt.len() >= MIN_SALT);
        }
        let question = client.read(&challenge).expect("a question");
        client.prove(&question, &Keys::of(&[9; KEY]));
        // Extensions may stand behind it.
        let rest = message.strip_prefix(accepted.as_slice());
        let within = message.len() <= MAX_MESSAGE && std::str::from_utf8(message).is_ok();
        let right = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b","));
        assert_eq!(client.confirm(message).is_ok(), right && within);
    }
    if let Ok(user) = std::str::from_utf8(message)
        && !user.is_empty()
    {
        let (_, first) = Client::begin(user, None, &[1; 18]);
        match ClientFirst::read(&first) {
            Ok(read) => assert_eq!(read.user, user),
            Err(_) => assert!(first.len() > MAX_MESSAGE),
        }
    }
}
