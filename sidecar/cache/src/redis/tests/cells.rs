//! Cells: what is put in the place of what, and what of another is worth.

use super::super::cells::{CELL_MAX, Cell, Cells, Silent, Swapped};
use super::*;
use crate::seal::{Keyring, Keys};

async fn cells(server: &Server) -> Cells {
    open(server, place("a", "p")).await.cells()
}

async fn value(cells: &Cells, n: u8) -> Option<Cell> {
    cells.read(&key(n).into(), patient()).await.unwrap()
}

async fn swap(cells: &Cells, n: u8, seen: Option<&Cell>, value: &[u8]) -> Result<Swapped, Silent> {
    cells.swap(&key(n).into(), seen, value, patient()).await
}

#[tokio::test]
async fn of_two_who_saw_the_same_one_is_first_and_the_other_reads_again() {
    let server = Server::start().await;
    let (one, other) = (cells(&server).await, cells(&server).await);
    assert_eq!(value(&one, 1).await, None);
    assert!(matches!(swap(&one, 1, None, b"1").await, Ok(Swapped::Done(_))));
    assert_eq!(swap(&other, 1, None, b"2").await, Ok(Swapped::Other));
    let seen = value(&other, 1).await.unwrap();
    assert_eq!(seen.value, b"1");
    let Ok(Swapped::Done(kept)) = swap(&other, 1, Some(&seen), b"2").await else {
        panic!("it was what lay there");
    };
    assert_eq!(value(&one, 1).await, Some(kept));
    assert_eq!(swap(&one, 1, Some(&seen), b"3").await, Ok(Swapped::Other));
    let name = server.names().await.pop().unwrap();
    let left: i64 = server.ask(::redis::cmd("PTTL").arg(&name)).await;
    assert!(left > 0, "{name} never ends");
}

#[tokio::test]
async fn what_is_not_ours_is_empty_and_may_be_replaced() {
    let server = Server::start().await;
    let cells = cells(&server).await;
    swap(&cells, 1, None, b"secret").await.unwrap();
    let (name, held) = server.dump(":c:").await;
    assert!(!held.windows(6).any(|part| part == b"secret"));
    let _: String = server.ask(::redis::cmd("SET").arg(&name).arg("garbage")).await;
    let seen = value(&cells, 1).await.unwrap();
    assert_eq!(seen.value, b"");
    assert!(matches!(
        swap(&cells, 1, Some(&seen), b"new").await,
        Ok(Swapped::Done(_))
    ));
}

#[tokio::test]
async fn what_another_key_holds_is_read_under_the_previous_one_until_it_is_replaced() {
    let server = Server::start().await;
    let before = cells(&server).await;
    swap(&before, 1, None, b"old").await.unwrap();
    let keyring = Keyring {
        newest: place("b", "p").keys.newest,
        previous: Some(place("a", "p").keys.newest),
    };
    let keys = Keys {
        newest: key(2),
        previous: Some(key(1)),
    };
    let after = open(
        &server,
        Place {
            keys: keyring,
            ..place("b", "p")
        },
    )
    .await
    .cells();
    let seen = after.read(&keys, patient()).await.unwrap();
    assert_eq!(seen.as_ref().unwrap().value, b"old");
    let swapped = after.swap(&keys, seen.as_ref(), b"new", patient()).await;
    assert!(matches!(swapped, Ok(Swapped::Done(_))));
    assert_eq!(after.read(&keys, patient()).await.unwrap().unwrap().value, b"new");
}

#[tokio::test]
async fn what_is_too_long_or_late_is_not_kept() {
    let server = Server::start().await;
    let cells = cells(&server).await;
    assert_eq!(swap(&cells, 1, None, &vec![0; CELL_MAX + 1]).await, Err(Silent));
    server.signal("STOP");
    assert_eq!(cells.read(&key(1).into(), hurried()).await, Err(Silent));
    assert_eq!(cells.swap(&key(1).into(), None, b"1", hurried()).await, Err(Silent));
    server.signal("CONT");
}
