//! What clients do, one step at a time.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::sleep;

use super::dice::Dice;
use super::referee::Answer;
use super::world::{Process, World};
use super::{KEEP, TTL};
use crate::bans::Ban;
use crate::budget::Deadline;
use crate::entry::{Entry, Layer};
use crate::redis::{Claim, Claimed};
use crate::seal::Digest;
use crate::tiers::Found;

const SCOPES: u64 = 2;
const QUESTIONS: u64 = 3;
const PATTERNS: [&str; 6] = ["user:0", "user:1:*", "doc:0:*", "doc:1:part", "doc:*", "*"];

pub(super) async fn step(world: &World, dice: &mut Dice) {
    sleep(dice.millis(12)).await;
    match dice.below(100) {
        0..72 => ask(world, dice).await,
        72..84 => ban(world, dice).await,
        84..89 => {
            world.crash(dice).await;
            world.referee.crashed();
        }
        89..95 => cut(world, dice).await,
        // Longer than an answer is fresh, and sometimes than it is kept.
        _ => sleep(dice.millis(400)).await,
    }
}

/// Asks one question, and once in a while the same process again when the answer must be gone.
async fn ask(world: &World, dice: &mut Dice) {
    let process = world.process(dice);
    let wanted = Answer {
        namespace: process.namespace.into(),
        scope: dice.below(SCOPES),
        question: dice.below(QUESTIONS),
        process: process.id,
        asked: 0,
    };
    ask_once(world, dice, &process, wanted.clone()).await;
    if dice.one_in(6) {
        sleep(KEEP / 2 + dice.millis(300)).await;
        ask_once(world, dice, &process, wanted).await;
    }
}

/// Asks the cache, and if it has nothing the provider.
async fn ask_once(world: &World, dice: &mut Dice, process: &Arc<Process>, mut wanted: Answer) {
    let key = digest(&wanted);
    let asked = world.referee.now();
    let deadline = Deadline::after(Duration::from_secs(2));
    let found = process.tiers.lookup(&key.into(), process.now_ms(), deadline).await;
    if !world.is_alive(process) {
        return;
    }
    if let Some(entry) = &found.entry {
        return world.referee.served(&wanted, asked, process.id, &entry.value);
    }
    world.referee.missed(&wanted, asked, process.id);
    let Ok(mut claim) = claim(process, key, &found, dice).await else {
        return;
    };
    wanted.asked = world.referee.now();
    let stored_at_ms = process.now_ms();
    // Once in a while the provider, or the whole process, takes longer than a lease.
    let thinking = if dice.one_in(8) { 150 } else { 15 };
    sleep(dice.millis(thinking)).await;
    if let (Some(stamp), true) = (found.stamp, world.is_alive(process)) {
        let entry = Entry {
            stored_at_ms,
            ttl: TTL,
            keep: KEEP,
            stamp,
            layer: Layer::Result,
            tags: wanted.tags(),
            class: "dynamic".into(),
            model: "m".into(),
            value: Bytes::from(serde_json::to_vec(&wanted).unwrap()),
        };
        process.tiers.admit(key, entry, process.now_ms(), &mut claim);
        world.referee.bought(wanted);
    }
}

/// The claim, where this client asks for one; `Err` = another has it, and this client leaves.
async fn claim(process: &Arc<Process>, key: Digest, found: &Found, dice: &mut Dice) -> Result<Option<Claim>, ()> {
    let (Some(shared), Some(stamp), true) = (&process.tiers.shared, found.stamp, dice.one_in(2)) else {
        return Ok(None);
    };
    let flight = shared.flight(key, stamp);
    match flight.claim(found.seen, Deadline::after(Duration::from_secs(2))).await {
        Claimed::Mine(claim) => Ok(Some(claim)),
        Claimed::Alone => Ok(None),
        Claimed::Other(_) | Claimed::Changed => Err(()),
    }
}

async fn ban(world: &World, dice: &mut Dice) {
    let process = world.process(dice);
    let pattern = dice.pick(&PATTERNS);
    let begun = world.referee.now();
    let ban = Ban {
        pattern: Some(pattern.into()),
        ..Ban::default()
    };
    let issued = process.tiers.issue(&ban, process.now_ms()).await.unwrap();
    if world.is_alive(&process) {
        let is_durable = issued.id.is_some();
        world
            .referee
            .banned(process.namespace, pattern, process.id, is_durable, begun);
    }
}

/// Takes the store from one process for a while; others go on with it.
async fn cut(world: &World, dice: &mut Dice) {
    let process = world.process(dice);
    process.wire.cut(true);
    sleep(dice.millis(150)).await;
    process.wire.cut(false);
}

/// The same for the same question in both namespaces, whose keys alone part them.
fn digest(wanted: &Answer) -> Digest {
    let mut digest = [0; 32];
    digest[0] = u8::try_from(wanted.scope).unwrap();
    digest[1] = u8::try_from(wanted.question).unwrap();
    Digest(digest)
}
