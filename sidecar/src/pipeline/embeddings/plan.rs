//! Under which keys the items of a request are kept, each distinct item once.

use std::collections::HashMap;

use llmcache_cache::bans::Stamp;
use llmcache_cache::seal::{Digest, Keys};
use llmcache_provider::request::Item;

use super::CLASS;
use crate::pipeline::result_cache::plan::{Macs, gates};
use crate::pipeline::{Exchange, Pipeline, scope};

/// The items of one request and where their vectors are kept.
pub(super) struct Plan {
    /// The distinct items, in the order they first stand in.
    pub items: Vec<Item>,
    /// The names of each distinct item's vector.
    pub keys: Vec<Keys>,
    /// For each item as asked, which of the distinct ones it is.
    pub places: Vec<usize>,
    /// The client wants fresh vectors: nothing is looked up, and what is kept is replaced.
    pub is_refresh: bool,
    /// Tags of the entries; `Err` = why they must not be stored.
    pub tags: Result<Vec<String>, &'static str>,
}

impl Plan {
    /// Names the flight of all calls for these very items: a call that began after a ban must not follow one from
    /// before it.
    pub(super) fn flight(&self, pipeline: &Pipeline, stamp: Option<Stamp>) -> Digest {
        let Stamp { log, epoch } = stamp.unwrap_or_default();
        let mut mac = pipeline.key.mac("embeddings flight");
        mac.field(&log.to_be_bytes()).field(&epoch.to_be_bytes());
        for place in &self.places {
            mac.field(&self.keys[*place].newest.0);
        }
        mac.finish()
    }
}

/// Plans the lookup of one request; `Err` = the word why there is none.
pub(super) fn plan(pipeline: &Pipeline, exchange: &Exchange) -> Result<Plan, &'static str> {
    let policy = &pipeline.snapshot;
    let Exchange {
        call, control, route, ..
    } = exchange;
    let scope = gates(pipeline, exchange)?;
    let mut macs = Macs::new("embedding", pipeline, exchange, scope);
    macs.add(&|mac| {
        call.request.write_key(&mut |bytes| {
            mac.update(bytes);
        });
    });
    let asked = call.request.items();
    let mut plan = Plan {
        items: Vec::new(),
        keys: Vec::new(),
        places: Vec::with_capacity(asked.len()),
        is_refresh: control.no_cache,
        tags: scope::tags(policy, call, &route.model, CLASS),
    };
    let mut known = HashMap::with_capacity(asked.len());
    for item in asked {
        let keys = macs.keys(&|mac| {
            call.request.write_item(&item, &mut |bytes| {
                mac.update(bytes);
            });
        });
        let place = *known.entry(keys.newest).or_insert(plan.keys.len());
        if place == plan.keys.len() {
            plan.keys.push(keys);
            plan.items.push(item);
        }
        plan.places.push(place);
    }
    Ok(plan)
}
