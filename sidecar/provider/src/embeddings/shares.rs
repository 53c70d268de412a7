//! What each item of a batch cost, when only the whole is billed.

/// Shares `total` tokens out by weight; the shares sum to `total` whatever the weights are.
///
/// Each item gets its part rounded down, and the tokens that are left go one each to the items with the largest
/// remainders, the earlier of equal ones first. A single item gets all.
pub fn shares(total: u64, weights: &[u64]) -> Vec<u64> {
    // An item of no weight still counts as one, so that a batch of such items is shared evenly.
    let weights: Vec<u128> = weights.iter().map(|weight| u128::from(*weight).max(1)).collect();
    let sum: u128 = weights.iter().sum();
    let exact = |weight: &u128| u128::from(total) * weight;
    let mut shares: Vec<u64> = weights
        .iter()
        .map(|weight| narrow(exact(weight) / sum.max(1)))
        .collect();
    let left = total - shares.iter().sum::<u64>().min(total);
    let mut order: Vec<usize> = (0..weights.len()).collect();
    order.sort_by_key(|at| std::cmp::Reverse(exact(&weights[*at]) % sum.max(1)));
    for at in order.into_iter().take(usize::try_from(left).unwrap_or(usize::MAX)) {
        shares[at] += 1;
    }
    shares
}

fn narrow(tokens: u128) -> u64 {
    u64::try_from(tokens).unwrap_or(u64::MAX)
}
