//! Reading a review's bytes: bounded each, and bounded all together.

use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Body;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The API server refuses objects over 1.5 MiB; an update's review holds two.
const LIMIT: usize = 3 << 20;
/// All bodies at once: two thousand pods of 32 KiB.
pub(super) const ROOM_KIB: usize = 64 << 10;

/// Why a review could not be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Trouble {
    #[error("a defect of llmcache, see the operator's log")]
    Defect,
    #[error("the review is no AdmissionReview of admission.k8s.io/v1")]
    Garbage,
    #[error("the operator has no certificates to hand out yet; create the pod again in a minute")]
    Early,
    #[error("the review broke off")]
    Broken,
    #[error("the review came too slowly")]
    Slow,
    #[error("the review is over 3 MiB")]
    TooLarge,
}

/// The bytes, and the room that they keep while they live.
pub(super) async fn read<B>(
    request: Request<B>,
    room: &Arc<Semaphore>,
) -> Result<(Bytes, OwnedSemaphorePermit), Trouble>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let body = request.into_body();
    let stated = body.size_hint().upper().unwrap_or(LIMIT as u64);
    let stated = usize::try_from(stated).unwrap_or(usize::MAX);
    if stated > LIMIT {
        return Err(Trouble::TooLarge);
    }
    let kib = u32::try_from(stated / 1024 + 1).unwrap_or(u32::MAX);
    let room = Arc::clone(room).acquire_many_owned(kib).await;
    let room = room.map_err(|_| Trouble::Defect)?;
    match Limited::new(body, LIMIT).collect().await {
        Ok(collected) => Ok((collected.to_bytes(), room)),
        Err(error) if error.is::<LengthLimitError>() => Err(Trouble::TooLarge),
        Err(_) => Err(Trouble::Broken),
    }
}
