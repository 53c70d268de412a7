//! The fault matrix: whatever happens to the shared store, no request fails and no answer is wrong.
//!
//! Each row is one kind of trouble, with traffic of every column before, during and after it. Times are figures for
//! people; nothing is asserted of them.

mod answers;
mod table;
mod traffic;
mod trouble;

use std::io::Write as _;
use table::Row;
use traffic::Traffic;
use trouble::Trouble;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_fault_of_the_store_fails_a_request_or_gives_a_wrong_answer() {
    let mut rows = Vec::new();
    for trouble in Trouble::ALL {
        let store = trouble.store().await.unwrap();
        let traffic = Traffic::start(&store.url()).await.unwrap();
        traffic.more().await.unwrap();
        store.suffer(trouble, &traffic).await.unwrap();
        traffic.reaches_the_store().await.unwrap();
        traffic.more().await.unwrap();
        rows.push(Row::new(trouble, traffic.end().await.unwrap()));
    }
    let text = table::render(&rows);
    // Not by the macro, whose output a test that passes keeps to itself.
    writeln!(std::io::stdout(), "{text}").unwrap();
    for row in &rows {
        for (column, tally) in &row.tallies {
            let place = format!("{:?}, {column:?}", row.trouble);
            assert_eq!(
                (tally.failed, tally.wrong),
                (0, 0),
                "{place}: {:?}\n{text}",
                tally.first_problem
            );
            assert!(tally.requests >= 200, "{place}: too few requests\n{text}");
        }
        assert!(row.hits() > 0, "{:?}: the cache took no part\n{text}", row.trouble);
    }
}
