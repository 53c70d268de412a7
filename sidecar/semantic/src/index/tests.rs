use std::sync::Arc;

use proptest::prelude::*;

use super::*;

const HERE: Partition = [1; 32];
const THERE: Partition = [2; 32];

type Text = Arc<str>;

fn unit(seed: u64) -> Box<[f32; DIMENSIONS]> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut vector = Box::new([0.0_f32; DIMENSIONS]);
    for number in vector.iter_mut() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        // All positive, so that cosines lie high and near one another.
        *number = f32::from(u16::try_from(state >> 48).unwrap());
    }
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    vector.iter_mut().for_each(|x| *x /= length);
    vector
}

fn key(n: u8) -> Key {
    [n; 32]
}

fn row(n: u8, expires_ms: u64) -> Row<Text> {
    Row {
        vector: unit(u64::from(n)),
        key: key(n),
        payload: n.to_string().into(),
        payload_bytes: 3,
        expires_ms,
    }
}

fn index(rows_per_partition: usize, bytes: usize) -> Flat<Text> {
    Flat::new(Bounds {
        rows_per_partition,
        bytes,
    })
}

fn room(partitions: usize, rows: usize) -> usize {
    partitions * PARTITION_BYTES + rows * Block::<Text>::row_bytes(3)
}

fn keys(index: &Flat<Text>, partition: &Partition, now_ms: u64) -> Vec<u8> {
    let found = index.nearest(partition, &unit(0), 0, 1_000, now_ms);
    let mut keys: Vec<u8> = found.iter().map(|neighbour| neighbour.key[0]).collect();
    keys.sort_unstable();
    keys
}

// A row still has its own vector and payload if it is the nearest to its own vector.
fn assert_whole(index: &Flat<Text>, n: u8) {
    let found = index.nearest(&HERE, &unit(u64::from(n)), 9_990, 1, 0);
    assert_eq!(found[0].key, key(n));
    assert_eq!(&*found[0].payload, n.to_string());
}

#[test]
fn a_partition_never_answers_for_another() {
    let index = index(10, 1 << 20);
    index.insert(HERE, row(1, 10));
    assert_eq!(keys(&index, &HERE, 0), [1]);
    assert!(keys(&index, &THERE, 0).is_empty());
}

#[test]
fn removal_keeps_vectors_and_keys_together() {
    let index = index(100, 1 << 20);
    (1..=20).for_each(|n| index.insert(HERE, row(n, 10)));
    assert!(index.remove(&HERE, &key(3)) && index.remove(&HERE, &key(20)));
    assert!(!index.remove(&HERE, &key(3)));
    (1..=19).filter(|n| *n != 3).for_each(|n| assert_whole(&index, n));
    assert_eq!(index.bytes(), room(1, 18));
}

#[test]
fn the_same_key_replaces_its_row() {
    let index = index(2, 1 << 20);
    index.insert(HERE, row(1, 10));
    index.insert(HERE, row(2, 10));
    let again = Row {
        key: key(1),
        ..row(7, 10)
    };
    index.insert(HERE, again);
    assert_eq!(keys(&index, &HERE, 0), [1, 2]);
    let nearest = index.nearest(&HERE, &unit(7), 9_990, 8, 0);
    assert_eq!((nearest[0].key, &*nearest[0].payload), (key(1), "7"));
    // The replaced row is the newer one now.
    index.insert(HERE, row(3, 10));
    assert_eq!(keys(&index, &HERE, 0), [1, 3]);
}

#[test]
fn a_full_partition_loses_its_oldest_row() {
    let index = index(3, 1 << 20);
    (1..=5).for_each(|n| index.insert(HERE, row(n, 10)));
    assert_eq!(keys(&index, &HERE, 0), [3, 4, 5]);
    (3..=5).for_each(|n| assert_whole(&index, n));
}

#[test]
fn a_full_index_loses_the_partition_not_used_longest() {
    // Two partitions fit also below the goal that a full index drops to.
    let index = index(10, room(2, 2) + room(1, 1) / 2);
    index.insert(HERE, row(1, 10));
    index.insert(THERE, row(2, 10));
    keys(&index, &HERE, 0);
    index.insert([3; 32], row(3, 10));
    assert_eq!(keys(&index, &HERE, 0), [1]);
    assert!(keys(&index, &THERE, 0).is_empty());
    assert_eq!(index.bytes(), room(2, 2));
}

#[test]
fn a_partition_larger_than_the_whole_loses_its_oldest_rows() {
    let index = index(10, room(1, 2));
    (1..=4).for_each(|n| index.insert(HERE, row(n, 10)));
    assert_eq!(keys(&index, &HERE, 0), [3, 4]);
    index.insert(
        HERE,
        Row {
            payload_bytes: 1 << 20,
            ..row(5, 10)
        },
    );
    assert_eq!(keys(&index, &HERE, 0), [3, 4]);
}

#[test]
fn a_dead_row_is_skipped_and_dropped() {
    let index = index(10, 1 << 20);
    index.insert(HERE, row(1, 10));
    index.insert(HERE, row(2, 20));
    index.insert(THERE, row(3, 20));
    assert_eq!(keys(&index, &HERE, 9), [1, 2]);
    assert_eq!(keys(&index, &HERE, 10), [2]);
    assert_eq!(index.len(), 2);
    index.sweep(20);
    assert!(index.is_empty());
    assert_eq!(index.bytes(), 0);
}

#[test]
fn similarity_is_floored_and_bounded() {
    let of = cosine::similarity;
    assert_eq!([of(0.8), of(0.799_99), of(1.000_1)], [8_000, 7_999, 10_000]);
    assert_eq!([of(-0.5), of(f32::NAN)], [0, 0]);
}

#[test]
fn threads_leave_the_sum_of_bytes_right() {
    let index = index(5, room(3, 9));
    std::thread::scope(|scope| {
        for thread in 0..4_u8 {
            let index = &index;
            scope.spawn(move || {
                for n in 0..200_u8 {
                    let partition = [n % 6; 32];
                    index.insert(partition, row(n, u64::from(n)));
                    index.nearest(&partition, &unit(1), 0, 3, u64::from(n / 2));
                    index.remove(&partition, &key(n.wrapping_sub(thread)));
                }
            });
        }
    });
    assert!(index.bytes() <= room(3, 9));
    index.sweep(u64::MAX);
    assert_eq!((index.len(), index.bytes()), (0, 0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn the_scan_finds_what_brute_force_finds(
        rows in proptest::collection::btree_map(any::<u8>(), 0..20_u64, 0..60),
        removed in proptest::collection::vec(any::<u8>(), 0..20),
        question in any::<u64>(), floor in 7_000..8_000_u16, top in 0..12_usize, now_ms in 0..20_u64,
    ) {
        let index = index(100, 1 << 20);
        for (n, expires_ms) in &rows { index.insert(HERE, row(*n, *expires_ms)); }
        for n in &removed { index.remove(&HERE, &key(*n)); }
        let question = unit(question);
        let mut wanted: Vec<(f32, u8)> = rows
            .iter()
            .filter(|(n, expires_ms)| !removed.contains(n) && **expires_ms > now_ms)
            .map(|(n, _)| (cosine::dot(unit(u64::from(*n)).as_slice(), &question), *n))
            .filter(|(cosine, _)| cosine::similarity(*cosine) >= floor)
            .collect();
        wanted.sort_by(|a, b| b.0.total_cmp(&a.0).then(b.1.cmp(&a.1)));
        wanted.truncate(top);
        for (cosine, n) in &wanted {
            let plain: f64 = unit(u64::from(*n)).iter().zip(question.iter()).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
            prop_assert!((plain - f64::from(*cosine)).abs() < 1e-5);
        }
        let found = index.nearest(&HERE, &question, floor, top, now_ms);
        let found: Vec<_> = found.iter().map(|f| (f.similarity, f.key[0], f.payload.to_string())).collect();
        let wanted: Vec<_> = wanted.iter().map(|(c, n)| (cosine::similarity(*c), *n, n.to_string())).collect();
        prop_assert_eq!(found, wanted);
    }
}
