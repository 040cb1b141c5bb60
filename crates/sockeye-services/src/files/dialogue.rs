//! The dialogue with one client: a request after the other, in their order.

mod sending;

use super::batch::{Answers, Small};
use super::login::{Login, in_time};
use super::place::Place;
use super::tree::{Amount, Quiet};
use super::trouble::Outcome;
use super::upload::Live;
use super::wire::{Next, Waited, Wire};
use super::{Files, download, legacy, requests};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sockeye::{Class, Connection, Error, Result};
use sockeye_proto::files::{
    Begun, Code, Download, Failure, Greeting, Head, Hello, LegacyUpload, List, MAX_INLINE, MAX_INTEGER,
    Mkdir, Move, Nothing, Remove, Stat, UNIT, UploadName, VERSION,
};
use sockeye_proto::frames;
use std::future::{Future, poll_fn};
use std::ops::ControlFlow;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

/// Uploads that one connection may go on with in turns: each holds some descriptors.
const MOST_LIVE: usize = 16;
/// Frames of a peer that has not logged in: a few tries, and some words around them.
const BEFORE_LOGIN: usize = 32;

pub(super) struct Dialogue<'c> {
    files: Arc<Files>,
    wire: Wire<'c>,
    login: Login,
    place: Option<Arc<Place>>,
    small: Small,
    live: Vec<Live>,
    /// Those that others have taken over, the latest last.
    fenced: Vec<UploadName>,
}

/// What there is to do next.
enum Event<T> {
    Came(T),
    Committed(Answers),
}

/// What comes first: something from the peer, or the answers of a batch.
async fn first<T>(
    coming: impl Future<Output = Result<T>>,
    small: &mut Small,
    place: Option<&Place>,
) -> Result<Event<T>> {
    let mut coming = pin!(coming);
    let either = poll_fn(|cx| match coming.as_mut().poll(cx) {
        Poll::Ready(came) => Poll::Ready(came.map(Event::Came)),
        Poll::Pending => match place {
            Some(place) => small.poll(place, cx).map(|answers| Ok(Event::Committed(answers))),
            None => Poll::Pending,
        },
    });
    either.await
}

type Step = Result<ControlFlow<()>>;
const ON: ControlFlow<()> = ControlFlow::Continue(());
const OVER: ControlFlow<()> = ControlFlow::Break(());

impl<'c> Dialogue<'c> {
    pub(super) fn new(files: Arc<Files>, conn: &'c mut Connection) -> Self {
        let login = Login::new(&files.access, conn);
        Dialogue {
            files,
            login,
            wire: Wire::new(conn),
            place: None,
            small: Small::default(),
            live: Vec::new(),
            fenced: Vec::new(),
        }
    }

    /// To the end of the connection.
    pub(super) async fn run(mut self) -> Result<()> {
        let talked = self.talk().await;
        if let Some(place) = &self.place {
            self.small.abandon(place).await;
        }
        talked
    }

    async fn talk(&mut self) -> Result<()> {
        let mut before_login = 0;
        loop {
            let frame = match self.next_frame().await? {
                Some(Ok(frame)) => frame,
                Some(Err(bad)) => {
                    let failure = Failure::new(Code::BadFrame, bad.to_string());
                    self.farewell(failure).await?;
                    return match bad {
                        frames::BadFrame::Tls => {
                            Err(Error::new("recv", Class::General, bad).at(self.wire.conn.peer()))
                        }
                        _ => Ok(()),
                    };
                }
                None => return self.wire.flush().await,
            };
            let head: Head = match frames::decode(&frame) {
                Ok(head) if is_sensible(&head) => head,
                Ok(_) => {
                    return self
                        .farewell(Failure::new(Code::BadFrame, "`id` or `follows` is too great"))
                        .await;
                }
                Err(bad) => return self.farewell(Failure::new(Code::BadFrame, bad.to_string())).await,
            };
            if head.id.is_none() {
                return self.without_answers(&frame).await;
            }
            if self.login.user().is_none() {
                before_login += 1;
                if before_login > BEFORE_LOGIN {
                    return self.farewell(Failure::new(Code::Denied, "log in first")).await;
                }
                if let Some(follows @ 1..) = head.follows {
                    self.refuse_bytes(&head, follows).await?;
                    continue;
                }
            }
            if let Err(failure) = self.login.lasts().await {
                self.finish_small().await?;
                self.wire.answer::<()>(head.id, Err(failure)).await?;
                return self.wire.flush().await;
            }
            if self.carry_out(&head, &frame).await? == OVER {
                return self.wire.flush().await;
            }
        }
    }

    /// Nobody may bring bytes before a login. They count as one word of the peer's: trickling them is no way to stay.
    async fn refuse_bytes(&mut self, head: &Head, follows: u64) -> Result<()> {
        let refusal = Failure::new(Code::Denied, "log in first");
        self.wire.answer::<()>(head.id, Err(refusal)).await?;
        self.wire.flush().await?;
        in_time(self.files.patience, self.wire.drop_bytes(follows)).await?
    }

    async fn farewell(&mut self, failure: Failure) -> Result<()> {
        self.finish_small().await?;
        self.wire.answer::<()>(None, Err(failure)).await?;
        self.wire.flush().await
    }

    /// The next frame; nothing at the end. Small files that were collected are committed while there is nothing to read.
    async fn next_frame(&mut self) -> Result<Option<Result<Vec<u8>, frames::BadFrame>>> {
        let mut waited = Duration::ZERO;
        loop {
            match self.next_event(&mut waited).await? {
                Event::Came(Waited::For(Ok(Next::Frame(frame)))) => return Ok(Some(Ok(frame))),
                Event::Came(Waited::For(Err(bad))) => return Ok(Some(Err(bad))),
                Event::Came(Waited::For(Ok(Next::Nothing))) => {}
                Event::Came(Waited::For(Ok(Next::End))) => {
                    self.finish_small().await?;
                    return Ok(None);
                }
                Event::Came(Waited::Look) => self.let_go(),
                Event::Committed(answers) => self.answer_small(answers).await?,
            }
        }
    }

    async fn next_event(
        &mut self,
        waited: &mut Duration,
    ) -> Result<Event<Waited<Result<Next, frames::BadFrame>>>> {
        // A batch goes on while frames keep coming.
        if let Some(place) = &self.place
            && let Some(answers) = self.small.look(place).await
        {
            return Ok(Event::Committed(answers));
        }
        self.wire.watched = !self.live.is_empty();
        let at_once = self.wire.frame(false, waited).await?;
        if !matches!(at_once, Waited::For(Ok(Next::Nothing))) {
            return Ok(Event::Came(at_once));
        }
        if let Some(place) = &self.place {
            self.small.start(place).await;
            if self.small.is_idle() {
                self.small.give_back(place).await;
            }
        }
        self.wire.flush().await?;
        let event = first(
            self.wire.frame(true, waited),
            &mut self.small,
            self.place.as_deref(),
        );
        match self.login.user().is_some() {
            true => event.await,
            false => in_time(self.files.patience, event).await?,
        }
    }

    /// Gives up the uploads that others have come for.
    fn let_go(&mut self) {
        let (ours, lost): (Vec<Live>, Vec<Live>) = self.live.drain(..).partition(Live::is_ours);
        self.live = ours;
        self.fenced.extend(lost.iter().map(Live::name));
        let too_many = self.fenced.len().saturating_sub(MOST_LIVE);
        self.fenced.drain(..too_many);
    }

    /// Commits the small files that were collected, and answers.
    async fn finish_small(&mut self) -> Result<()> {
        let Some(place) = self.place.clone() else {
            return Ok(());
        };
        let answers = self.small.finish(&place).await;
        self.small.give_back(&place).await;
        self.answer_small(answers).await
    }

    async fn answer_small(&mut self, answers: Answers) -> Result<()> {
        for (id, outcome) in answers {
            let begun = outcome.map(|receipt| Begun {
                receipt: Some(receipt),
                ..Begun::default()
            });
            self.wire.answer(id, begun).await?;
        }
        Ok(())
    }

    /// Without an `id` it can only be the old client.
    async fn without_answers(&mut self, frame: &[u8]) -> Result<()> {
        self.finish_small().await?;
        self.wire.flush().await?;
        let refused = |why: &str| Err(Error::new("serve", Class::General, why.to_owned()));
        match frames::decode::<LegacyUpload>(frame) {
            Ok(upload) if upload.operate == "upload" => match &self.files.anonymous {
                Some(anonymous) => legacy::upload(&self.files, anonymous, &mut self.wire, &upload.user).await,
                None => refused("an upload without a login; only `anonymous=true` allows that"),
            },
            _ => refused("a request that asks for no answer, and isn't the old client's"),
        }
    }

    async fn carry_out(&mut self, head: &Head, frame: &[u8]) -> Step {
        let operate = head.operate.as_str();
        if operate == "upload" && head.follows.is_some() {
            return self.small_file(head, frame).await;
        }
        // Answers come in the order of their requests.
        self.finish_small().await?;
        if operate == "data" {
            return self.data(head, frame).await;
        }
        if let Some(follows) = head.follows {
            self.wire.drop_bytes(follows).await?;
        }
        match operate {
            "hello" => {
                let outcome = read::<Hello>(frame).and_then(|hello| self.greeting(&hello));
                self.answer(head, outcome).await
            }
            "exit" => {
                self.wire.answer(head.id, Ok(Nothing {})).await?;
                Ok(OVER)
            }
            _ if Login::knows(operate) => {
                let answer = self.login.answer(frame, self.wire.conn).await?;
                self.wire.frame_out(&answer).await?;
                Ok(if self.login.is_over() { OVER } else { ON })
            }
            _ => match self.place().await {
                Ok(place) => {
                    let step = self.at_home(&place, head, frame).await;
                    place.rest();
                    step
                }
                Err(failure) => self.answer::<()>(head, Err(failure)).await,
            },
        }
    }

    fn greeting(&self, hello: &Hello) -> Outcome<Greeting> {
        if hello.version != VERSION {
            let why = format!("this service speaks version {VERSION}, not {}", hello.version);
            return Err(Failure::new(Code::BadRequest, why));
        }
        Ok(Greeting {
            version: VERSION,
            server: concat!("sockeye ", env!("CARGO_PKG_VERSION")).to_owned(),
            mechanisms: self.login.mechanisms(self.wire.conn),
            register: self.files.access.register().to_owned(),
            user: self.login.user().map(|user| user.to_string()),
            unit: UNIT,
            max_inline: MAX_INLINE,
        })
    }

    /// The user's own place, opened with the first request that needs it.
    async fn place(&mut self) -> Outcome<Arc<Place>> {
        if let Some(place) = &self.place {
            return Ok(place.clone());
        }
        let owner = self.login.owner();
        let owner = owner.ok_or_else(|| Failure::new(Code::Denied, "log in first"))?;
        let books = self.files.books()?;
        let party = owner.party(self.wire.conn.peer());
        let place = Place::of(&owner, party, &books, self.files.quota).await?;
        Ok(self.place.insert(Arc::new(place)).clone())
    }

    /// The requests of somebody who has logged in.
    async fn at_home(&mut self, place: &Place, head: &Head, frame: &[u8]) -> Step {
        match head.operate.as_str() {
            "stat" => {
                self.by(place, head, frame, |place, about: Stat| {
                    requests::stat(place, &about)
                })
                .await
            }
            "list" => {
                self.by(place, head, frame, |place, about: List| {
                    requests::list(place, &about)
                })
                .await
            }
            "mkdir" => {
                let made = make_folder(place, frame).await;
                self.answer(head, made).await
            }
            "remove" => {
                self.freeing(place, head, frame, |place, about: Remove, freed, quiet| {
                    requests::remove(place, &about, freed, quiet)
                })
                .await
            }
            "move" => {
                self.freeing(place, head, frame, |place, about: Move, freed, quiet| {
                    requests::rename(place, &about, freed, quiet)
                })
                .await
            }
            "quota" => {
                let usage = place.usage().await;
                self.answer(head, usage).await
            }
            "verify" => {
                let verified = match read(frame) {
                    Ok(about) => requests::verify(place, about).await,
                    Err(failure) => Err(failure),
                };
                self.answer(head, verified).await
            }
            "upload" => {
                let begun = self.begin(place, frame).await;
                self.answer(head, begun).await
            }
            "commit" => {
                let receipt = self.commit(place, frame).await;
                self.answer(head, receipt).await
            }
            "abandon" => {
                let outcome = self.abandon(place, frame).await;
                self.answer(head, outcome).await
            }
            "download" => match read::<Download>(frame) {
                Ok(about) => download::send(place, &mut self.wire, head.id, about)
                    .await
                    .map(|()| ON),
                Err(failure) => self.answer::<()>(head, Err(failure)).await,
            },
            other => {
                let shown: String = other.chars().take(40).flat_map(char::escape_debug).collect();
                let why = format!("nobody knows the operation `{shown}`");
                self.answer::<()>(head, Err(Failure::new(Code::BadRequest, why)))
                    .await
            }
        }
    }

    async fn answer<T: Serialize>(&mut self, head: &Head, outcome: Outcome<T>) -> Step {
        self.wire.answer(head.id, outcome).await.map(|()| ON)
    }

    /// A request that may wait for the disk.
    async fn by<A: DeserializeOwned + Send + 'static, T: Serialize + Send + 'static>(
        &mut self,
        place: &Place,
        head: &Head,
        frame: &[u8],
        job: impl FnOnce(&Place, A) -> Outcome<T> + Send + 'static,
    ) -> Step {
        let outcome = match read::<A>(frame) {
            Ok(about) => place.work(move |place| job(place, about)).await,
            Err(failure) => Err(failure),
        };
        self.answer(head, outcome).await
    }

    /// One that changes names, and says what is no longer kept, even if it fails.
    async fn freeing<A: DeserializeOwned + Send + 'static>(
        &mut self,
        place: &Place,
        head: &Head,
        frame: &[u8],
        job: impl FnOnce(&Place, A, &mut Amount, Quiet) -> Outcome<Nothing> + Send + 'static,
    ) -> Step {
        let done = async {
            let about = read::<A>(frame)?;
            let quiet = place.quiet().await?;
            let counted = move |place: &Place| {
                let mut freed = Amount::default();
                let outcome = job(place, about, &mut freed, quiet);
                place.note_entries(-(freed.entries as i64));
                Ok((outcome, freed.bytes))
            };
            place.work_first(counted).await
        };
        let done = done.await;
        let (outcome, freed) = done.unwrap_or_else(|failure| (Err(failure), 0));
        place.settle(0, -(freed as i64)).await;
        self.answer(head, outcome).await
    }
}

async fn make_folder(place: &Place, frame: &[u8]) -> Outcome<Nothing> {
    let (about, naming) = (read::<Mkdir>(frame)?, place.naming().await?);
    let made = move |place: &Place| requests::mkdir(place, &about, naming);
    place.work_first(made).await
}

fn is_sensible(head: &Head) -> bool {
    let most = |number: Option<u64>| number.is_none_or(|number| number <= MAX_INTEGER);
    most(head.id) && most(head.follows)
}

fn read<T: DeserializeOwned>(frame: &[u8]) -> Outcome<T> {
    frames::decode(frame).map_err(|error| Failure::new(Code::BadRequest, error.to_string()))
}
