//! Interned parts of a state: hashed once and shared by all states that contain them; known transitions.
use super::{ModelAction, ledger::ModelLedger, station::Station};
use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, DefaultHasher, Hash, Hasher},
    ops::Deref,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// An immutable part of a state with its hash, which is read far more often than the part changes.
#[derive(Debug)]
pub(super) struct Interned<T>(Arc<(u64, T)>);

impl<T: Hash> Interned<T> {
    pub(super) fn new(part: T) -> Self {
        Self(Arc::new((hash_of(&part), part)))
    }

    pub(super) fn hash(&self) -> u64 {
        self.0.0
    }
}

impl<T> Clone for Interned<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Deref for Interned<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0.1
    }
}

impl<T: PartialEq> PartialEq for Interned<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<T: Eq> Eq for Interned<T> {}

impl<T> Hash for Interned<T> {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.0.0.hash(hasher);
    }
}

pub(super) fn hash_of(part: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    part.hash(&mut hasher);
    hasher.finish()
}

/// A hash map for many threads: a lock for each sixteenth of the keys.
#[derive(Debug)]
pub(super) struct ShardedMap<K, V>([Mutex<Shard<K, V>>; 16]);

type Shard<K, V> = HashMap<K, V, BuildHasherDefault<DefaultHasher>>;

impl<K, V> Default for ShardedMap<K, V> {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Mutex::default()))
    }
}

impl<K: Hash + Eq, V: Clone> ShardedMap<K, V> {
    fn shard(&self, key: &K) -> Option<MutexGuard<'_, Shard<K, V>>> {
        let at = hash_of(key) as usize % self.0.len();
        self.0.get(at).map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn get(&self, key: &K) -> Option<V> {
        self.shard(key)?.get(key).cloned()
    }

    pub(super) fn insert(&self, key: K, value: V) {
        self.shard(&key).and_then(|mut shard| shard.insert(key, value));
    }
}

/// The station and the ledger after an action; `None` if it is not possible.
pub(super) type Transition = Option<(Interned<Station>, Interned<ModelLedger>)>;

/// Known transitions: with two stations, each action of one is met again in many states of the other.
///
/// The key is the hash of the station, that of the ledger if the action commits (otherwise 0), and the
/// action.
pub(super) type TransitionCache =
    ShardedMap<(u64, u64, ModelAction), Option<(Interned<Station>, Option<Interned<ModelLedger>>)>>;
