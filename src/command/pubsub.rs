//! Commands about messages: who hears them, who says them, and who would hear them.

mod about;
mod publish;
mod subscribe;

pub(crate) use about::PUBSUB;
pub(crate) use publish::{PUBLISH, SPUBLISH};
pub(crate) use subscribe::{
    PSUBSCRIBE, PUNSUBSCRIBE, SSUBSCRIBE, SUBSCRIBE, SUNSUBSCRIBE, UNSUBSCRIBE, unsubscribe_all,
};
