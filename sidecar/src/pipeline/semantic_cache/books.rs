//! The evidence of each TTL class: acted on at once, and kept behind the requests where other processes and later
//! starts find it.
//!
//! What happened is queued as events. Keeping it means to read what is there, add the events and put it back unless
//! another process was faster; what all have added decides, and no label is lost between them.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;

use llmcache_cache::budget::Deadline;
use llmcache_cache::redis::{Cell, Cells, Swapped};
use llmcache_cache::seal::Keys;
use llmcache_semantic::evidence::{Event, Happened, State, Summary, Terms};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::Standing;
use crate::clock::Clock;
use crate::metrics::Metrics;

/// Time between two looks at what other processes have added, and at pairs that waited too long.
const TICK: Duration = Duration::from_secs(5);
/// How long one call to the store may take; no request waits for it.
const STORE_BUDGET: Duration = Duration::from_secs(1);
/// Times that others may be faster before it is left to the next tick.
const ROUNDS: usize = 8;
/// Events that may wait to be kept; beyond it no pair is drawn.
const MOST_NEWS: usize = 1_024;

/// The evidence of one policy.
pub(super) struct Books {
    classes: Vec<Book>,
    place: Place,
    changed: Arc<Notify>,
    clock: Arc<Clock>,
    metrics: Arc<Metrics>,
}

/// Where evidence outlives this process.
pub(super) enum Place {
    /// Nowhere.
    Memory,
    /// A folder of this process alone.
    Folder(PathBuf),
    /// The shared store.
    Store(Cells),
}

/// The evidence of one class.
pub(super) struct Book {
    /// Name of the class.
    pub class: String,
    /// What it must satisfy.
    pub terms: Terms,
    /// Its name in the shared store, or of its file.
    pub name: Keys,
    pages: Mutex<Pages>,
}

struct Pages {
    /// As it was last kept.
    kept: State,
    /// What has happened here since.
    news: VecDeque<(Event, u64)>,
    /// Both together: what is acted on.
    current: State,
    /// What others know was read once; before it nothing is drawn or served.
    is_read: bool,
}

impl Book {
    /// The book of a class; without a word of what is kept of it yet.
    pub(super) fn new(class: &str, terms: Terms, name: Keys) -> Self {
        let state = State::new(&terms);
        Self {
            class: class.to_owned(),
            name,
            pages: Mutex::new(Pages {
                kept: state.clone(),
                news: VecDeque::new(),
                current: state,
                is_read: false,
            }),
            terms,
        }
    }
}

impl Pages {
    fn add(&mut self, terms: &Terms) {
        self.current = self.kept.clone();
        for (event, at_ms) in &self.news {
            self.current.apply(terms, event, *at_ms);
        }
    }
}

impl Books {
    /// Opens the books and keeps them as long as they are used.
    pub(super) fn open(classes: Vec<Book>, place: Place, clock: Arc<Clock>, metrics: Arc<Metrics>) -> Arc<Self> {
        let all = Arc::new(Self {
            classes,
            place,
            changed: Arc::default(),
            clock,
            metrics,
        });
        for book in &all.classes {
            all.load(book);
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(keep(Arc::downgrade(&all), all.changed.clone()));
        }
        all
    }

    /// How a candidate of this similarity stands.
    pub(super) fn standing(&self, class: &str, similarity: u16) -> Option<Standing> {
        let book = self.book(class)?;
        let pages = book.pages.lock();
        Some(Standing {
            similarity,
            threshold: pages.current.threshold().filter(|_| pages.is_read),
            proposed: pages.current.proposed(&book.terms),
            share: pages.current.share(&book.terms, similarity),
            has_room: pages.is_read && pages.news.len() < MOST_NEWS && pages.current.has_room(),
        })
    }

    /// Adds what happened.
    pub(super) fn note(&self, class: &str, event: Event, now_ms: u64) {
        let Some(book) = self.book(class) else { return };
        let mut pages = book.pages.lock();
        pages.current.apply(&book.terms, &event, now_ms);
        pages.news.push_back((event, now_ms));
        drop(pages);
        self.changed.notify_one();
    }

    /// How each class stands.
    pub(super) fn summaries(&self) -> Vec<(&str, Summary)> {
        let summary = |book: &Book| book.pages.lock().current.summary(&book.terms);
        self.classes
            .iter()
            .map(|book| (book.class.as_str(), summary(book)))
            .collect()
    }

    /// Keeps what is not kept yet.
    pub(super) async fn flush(&self) {
        for book in &self.classes {
            self.sync(book).await;
        }
    }

    /// Whether these are the same books.
    pub(super) fn are(&self, others: &[Book]) -> bool {
        let names = |books: &[Book]| {
            books
                .iter()
                .map(|book| (book.class.clone(), book.name))
                .collect::<Vec<_>>()
        };
        names(&self.classes) == names(others)
    }

    fn book(&self, class: &str) -> Option<&Book> {
        self.classes.iter().find(|book| book.class == class)
    }

    /// What a folder keeps is there from the start; a broken file is no evidence.
    fn load(&self, book: &Book) {
        let mut pages = book.pages.lock();
        pages.is_read = !matches!(self.place, Place::Store(_));
        let Place::Folder(folder) = &self.place else { return };
        let kept = std::fs::read(folder.join(file_name(book))).ok();
        if let Some(state) = kept.and_then(|kept| serde_json::from_slice::<State>(&kept).ok()) {
            pages.kept = state.resume(&book.terms);
            pages.add(&book.terms);
        }
    }

    async fn sync(&self, book: &Book) {
        for _ in 0..ROUNDS {
            let Some((base, seen)) = self.base(book).await else {
                return;
            };
            let news: Vec<_> = book.pages.lock().news.iter().cloned().collect();
            let mut next = base.clone();
            let mut happened: Vec<Happened> = news
                .iter()
                .map(|(event, at_ms)| next.apply(&book.terms, event, *at_ms))
                .collect();
            happened.push(next.expire(&book.terms, self.clock.now_ms()));
            let is_kept = next == base || self.put(book, seen.as_ref(), &next).await;
            if !is_kept {
                continue;
            }
            let mut pages = book.pages.lock();
            pages.news.drain(..news.len());
            pages.kept = next;
            pages.is_read = true;
            pages.add(&book.terms);
            drop(pages);
            self.count(&book.class, &happened);
            return;
        }
    }

    /// What is kept now; none = the store does not say.
    async fn base(&self, book: &Book) -> Option<(State, Option<Cell>)> {
        let Place::Store(cells) = &self.place else {
            return Some((book.pages.lock().kept.clone(), None));
        };
        let cell = cells.read(&book.name, Deadline::after(STORE_BUDGET)).await.ok()?;
        let kept = cell
            .as_ref()
            .and_then(|cell| serde_json::from_slice::<State>(&cell.value).ok());
        let state = kept.map_or_else(|| State::new(&book.terms), |state| state.resume(&book.terms));
        Some((state, cell))
    }

    /// Whether this is what is kept from now on.
    async fn put(&self, book: &Book, seen: Option<&Cell>, next: &State) -> bool {
        // The state holds numbers and words alone, which JSON can always write.
        let bytes = serde_json::to_vec(next).unwrap_or_default();
        match &self.place {
            Place::Memory => true,
            Place::Folder(folder) => {
                let (file, fresh) = (folder.join(file_name(book)), folder.join(file_name(book) + ".new"));
                // A few kilobytes, behind the requests.
                let written = std::fs::create_dir_all(folder)
                    .and_then(|()| std::fs::write(&fresh, &bytes))
                    .and_then(|()| std::fs::rename(&fresh, &file));
                if let Err(error) = written {
                    tracing::warn!(%error, file = %file.display(), "evidence is kept in memory alone");
                }
                true
            }
            Place::Store(cells) => {
                let deadline = Deadline::after(STORE_BUDGET);
                matches!(
                    cells.swap(&book.name, seen, &bytes, deadline).await,
                    Ok(Swapped::Done(_))
                )
            }
        }
    }

    /// Counted when kept, so that of many processes one counts.
    fn count(&self, class: &str, happened: &[Happened]) {
        for Happened {
            labelled,
            opened,
            closed,
            ..
        } in happened
        {
            for (source, is_wrong) in labelled {
                self.metrics.label(*source, *is_wrong);
            }
            if let Some(threshold) = opened {
                tracing::info!(class, threshold, "the evidence opens the semantic cache");
                self.metrics.opening(class);
            }
            if let Some(threshold) = closed {
                tracing::warn!(class, threshold, "the evidence closes the semantic cache");
                self.metrics.closing(class);
            }
        }
    }
}

fn file_name(book: &Book) -> String {
    format!("evidence-{}.json", super::hex(&book.name.newest.0[..16]))
}

async fn keep(books: Weak<Books>, changed: Arc<Notify>) {
    loop {
        let Some(open) = books.upgrade() else { return };
        open.flush().await;
        drop(open);
        // Either will do.
        _ = tokio::time::timeout(TICK, changed.notified()).await;
    }
}
