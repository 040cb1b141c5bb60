//! The file service's requests and answers.

use serde::Serialize;
use serde::de::DeserializeOwned;
use sockeye_proto::files::{
    Abandon, Answer, Begun, Commit, Data, Download, Downloaded, Entry, Greeting, Head, Hello, LegacyFile,
    LegacyUpload, List, Listed, MAX_DEPTH, MAX_NAME, MAX_PATH, Mkdir, Move, Nothing, Path, RESERVED,
    Received, Remove, Stat, Upload, Usage, Verified,
};
use sockeye_proto::frames::decode;
use std::fmt::Debug;

/// What can be read is written and read again as the same; a path that is taken leads nowhere else.
pub(crate) fn holds(body: &[u8]) {
    read::<Head>(body);
    read::<Hello>(body);
    read::<List>(body);
    read::<Mkdir>(body);
    read::<Data>(body);
    read::<Commit>(body);
    read::<Abandon>(body);
    read::<Download>(body);
    read::<LegacyUpload>(body);
    read::<Answer<Begun>>(body);
    read::<Answer<Downloaded>>(body);
    read::<Answer<Entry>>(body);
    read::<Answer<Greeting>>(body);
    read::<Answer<Listed>>(body);
    read::<Answer<Nothing>>(body);
    read::<Answer<Received>>(body);
    read::<Answer<Usage>>(body);
    read::<Answer<Verified>>(body);
    let paths = [
        read::<Stat>(body).map(|about| about.path),
        read::<Remove>(body).map(|about| about.path),
        read::<Move>(body).map(|about| about.to),
        read::<Upload>(body).map(|about| about.path),
        read::<LegacyFile>(body).map(|about| about.filename),
        std::str::from_utf8(body).ok().map(str::to_owned),
    ];
    paths
        .into_iter()
        .flatten()
        .for_each(|text| leads_nowhere_else(&text));
}

fn read<T: DeserializeOwned + Serialize + PartialEq + Debug>(body: &[u8]) -> Option<T> {
    let value: T = decode(body).ok()?;
    let again = serde_json::to_vec(&value).expect("what was read can be written");
    assert_eq!(decode(&again).as_ref(), Ok(&value));
    Some(value)
}

fn leads_nowhere_else(text: &str) {
    let Ok(path) = Path::parse(text) else { return };
    let names: Vec<&str> = path.names().collect();
    assert_eq!(names.join("/"), text);
    assert!(text.len() <= MAX_PATH && names.len() <= MAX_DEPTH);
    assert_ne!(names.first(), Some(&RESERVED));
    for name in &names {
        assert!(!matches!(*name, "" | "." | "..") && name.len() <= MAX_NAME);
        assert!(!name.contains(['/', '\\']) && !name.contains(char::is_control));
    }
    assert_eq!(path.is_root(), names.is_empty());
    if let Some((folder, name)) = path.split() {
        let folder = Path::parse(folder).expect("what stands above it is a path");
        assert_eq!(folder.join(name), Ok(path.clone()));
    }
}
