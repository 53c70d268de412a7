use std::env;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustix::process::{Signal, getpid, kill_process};
use tokio::time::Instant;

use super::super::child::{self, Embed};
use super::super::embedder::{Embedder, Patience, Settings, State, Unavailable};
use super::super::process::Process;
use super::super::wire::{self, Hello};
use super::super::{Model, Space, TextError, Vector, WIDTH};
use super::model_folder;

const FAKE: &str = "fake";
const MEMORY: u64 = 256 << 20;

/// Does what the text says.
struct Fake(Space);

impl Embed for Fake {
    fn space(&self) -> &Space {
        &self.0
    }

    fn embed(&mut self, text: &str) -> Result<Vector, TextError> {
        match text {
            "die" => process::exit(3),
            "stop" => stop(),
            "eat" => drop(std::hint::black_box(vec![1_u8; 1 << 30])),
            "fail" => return Err(TextError::Failed("it was told to".to_owned())),
            "long" => return Err(TextError::TooLong),
            _ => {}
        }
        Ok(Vector::new(&[1.0; WIDTH]).unwrap())
    }
}

/// The signal is to the process; this thread may run on until another has taken it.
fn stop() -> ! {
    kill_process(getpid(), Signal::STOP).unwrap();
    loop {
        thread::park();
    }
}

/// The process that the tests below start; in a run of the tests it has no parent to serve.
#[test]
fn serves_a_parent_if_it_has_one() {
    let Ok(socket) = child::inherited() else { return };
    let fake = |_: &Path| Ok(Fake(Space::known()));
    let is_fake = env::args().any(|argument| argument == FAKE);
    let served = if is_fake {
        child::serve(socket, fake)
    } else {
        child::serve(socket, Model::open)
    };
    process::exit(i32::from(served.is_err()));
}

fn settings(folder: &Path) -> Settings {
    let mut arguments = vec!["--exact", "embedding::tests::faults::serves_a_parent_if_it_has_one"];
    if folder == Path::new(FAKE) {
        // To the test harness one more name of a test.
        arguments.push(FAKE);
    }
    Settings {
        program: env::current_exe().unwrap(),
        arguments: arguments.into_iter().map(Into::into).collect(),
        folder: folder.to_owned(),
        queue: 1,
        memory_bytes: MEMORY,
    }
}

fn embedder(settings: Settings) -> Embedder {
    let patience = Patience {
        answer: Duration::from_millis(200),
        pause: Duration::from_millis(5),
        ..Patience::default()
    };
    Embedder::with_patience(settings, patience)
}

fn fake() -> Embedder {
    embedder(settings(Path::new(FAKE)))
}

/// Far longer than anything here takes.
fn soon() -> Instant {
    Instant::now() + Duration::from_mins(1)
}

async fn answers_again(embedder: &Embedder) {
    assert!(embedder.ready(soon()).await, "{:?}", embedder.state());
    embedder.embed("hello", soon()).await.unwrap();
}

#[tokio::test]
async fn it_starts_with_the_first_text_and_makes_nobody_wait_for_that() {
    let embedder = fake();
    assert_eq!(embedder.state(), State::Idle);
    assert_eq!(embedder.embed("hello", soon()).await, Err(Unavailable::Down));
    answers_again(&embedder).await;
}

#[tokio::test]
async fn a_process_that_dies_is_replaced() {
    let embedder = fake();
    answers_again(&embedder).await;
    assert_eq!(embedder.embed("die", soon()).await, Err(Unavailable::Down));
    answers_again(&embedder).await;
}

#[tokio::test]
async fn a_process_over_its_cap_of_memory_dies_and_is_replaced() {
    let embedder = fake();
    answers_again(&embedder).await;
    assert_eq!(embedder.embed("eat", soon()).await, Err(Unavailable::Down));
    answers_again(&embedder).await;
}

#[tokio::test]
async fn a_process_that_hangs_costs_one_request_its_deadline_and_is_replaced() {
    let embedder = fake();
    answers_again(&embedder).await;
    let deadline = Instant::now() + Duration::from_millis(20);
    assert_eq!(embedder.embed("stop", deadline).await, Err(Unavailable::Late));
    let second = embedder.embed("hello", soon()).await;
    assert!(
        matches!(second, Err(Unavailable::Busy | Unavailable::Down)),
        "{second:?}"
    );
    wait_for(&embedder, |state| *state != State::Slow && *state != State::Ready).await;
    answers_again(&embedder).await;
}

#[tokio::test]
async fn a_full_queue_is_busy() {
    let embedder = Arc::new(fake());
    answers_again(&embedder).await;
    let ask = |text: &'static str| {
        let embedder = Arc::clone(&embedder);
        async move { embedder.embed(text, soon()).await }
    };
    // All are sent before the keeper's turn comes; one place is in the queue.
    let (first, second, third) = tokio::join!(ask("one"), ask("two"), ask("three"));
    assert!(first.is_ok(), "{first:?}");
    assert_eq!((second, third), (Err(Unavailable::Busy), Err(Unavailable::Busy)));
}

#[tokio::test]
async fn what_the_process_says_of_a_text_is_told() {
    let embedder = fake();
    answers_again(&embedder).await;
    assert_eq!(embedder.embed("long", soon()).await, Err(Unavailable::TooLong));
    assert_eq!(
        embedder.embed(&"x".repeat(5000), soon()).await,
        Err(Unavailable::TooLong)
    );
    assert_eq!(embedder.embed("fail", soon()).await, Err(Unavailable::Down));
    assert_eq!(embedder.state(), State::Ready);
}

#[tokio::test]
async fn a_wrong_model_folder_is_off_and_says_why() {
    let embedder = embedder(settings(Path::new("/no/such/folder")));
    assert_eq!(embedder.embed("hello", soon()).await, Err(Unavailable::Down));
    wait_for(&embedder, |state| matches!(state, State::Off(_))).await;
    assert_eq!(embedder.embed("hello", soon()).await, Err(Unavailable::Off));
    let State::Off(reason) = embedder.state() else {
        panic!("{:?}", embedder.state())
    };
    assert!(reason.contains("/no/such/folder/tokenizer.json is missing"), "{reason}");
}

#[tokio::test]
async fn a_program_that_is_none_or_speaks_otherwise_is_down() {
    for (program, arguments) in [
        ("/no/such/program", vec![]),
        ("/bin/false", vec![]),
        ("/bin/sh", vec!["-c", "echo nothing of the embedder >&0"]),
    ] {
        let settings = Settings {
            program: PathBuf::from(program),
            arguments: arguments.into_iter().map(Into::into).collect(),
            ..settings(Path::new(FAKE))
        };
        let embedder = embedder(settings);
        assert_eq!(embedder.embed("hello", soon()).await, Err(Unavailable::Down));
        wait_for(&embedder, |state| *state == State::Down).await;
    }
}

#[tokio::test]
async fn a_program_that_never_gets_ready_is_killed() {
    let settings = Settings {
        program: PathBuf::from("/bin/cat"),
        arguments: Vec::new(),
        ..settings(Path::new(FAKE))
    };
    let patience = Patience {
        start: Duration::from_millis(50),
        ..Patience::default()
    };
    let embedder = Embedder::with_patience(settings, patience);
    assert!(!embedder.ready(Instant::now()).await);
    wait_for(&embedder, |state| *state == State::Down).await;
}

#[test]
fn the_process_ends_when_its_parent_is_gone() {
    let (mut socket, mut child) = Process::start(&settings(Path::new(FAKE))).unwrap();
    socket.set_nonblocking(false).unwrap();
    let hello = Hello {
        folder: PathBuf::from(FAKE),
        memory_bytes: MEMORY,
    };
    wire::send(&mut socket, &serde_json::to_vec(&hello).unwrap()).unwrap();
    let opened = wire::receive(&mut socket).unwrap().unwrap();
    assert_eq!(wire::read_opened(&opened).unwrap().unwrap(), Space::known().as_str());
    drop(socket);
    assert!(child.wait().unwrap().success());
}

#[tokio::test]
async fn the_real_model_answers_through_its_process_as_in_this_one() {
    let Some(folder) = model_folder() else { return };
    let embedder = Embedder::new(Settings {
        memory_bytes: 128 << 20,
        ..settings(&folder)
    });
    assert!(embedder.ready(soon()).await, "{:?}", embedder.state());
    let text = "How do I reset my password?";
    let vector = embedder.embed(text, soon()).await.unwrap();
    assert_eq!(vector, Model::open(&folder).unwrap().embed(text).unwrap());
    let long = "word ".repeat(200);
    assert_eq!(embedder.embed(&long, soon()).await, Err(Unavailable::TooLong));
}

async fn wait_for(embedder: &Embedder, is_it: impl FnMut(&State) -> bool) {
    tokio::time::timeout_at(soon(), embedder.watch().wait_for(is_it))
        .await
        .unwrap()
        .unwrap();
}
