//! Bearer tokens: issued once in clear text, kept as a hash, checked without touching the database.
//!
//! A token carries 256 random bits, so a plain SHA-256 is enough: there is nothing to guess, and the hot path pays
//! one hash. Slow password hashes protect secrets that people choose; nobody chooses these.
//!
//! A token may have a rate. Its bucket holds one second's worth and lives as long as the token does, so that memory is
//! bounded by the tokens that were issued. Each server counts for itself.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use arc_swap::ArcSwap;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use greenlight_domain::evidence::hex;
use greenlight_domain::prediction::IdKey;
use greenlight_domain::role::{Action, Actor, Role};
use greenlight_store::token::{Token, ValidToken};
use greenlight_store::{Stamp, Store};
use serde::Serialize;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::audit::new_id;
use crate::metrics::Rejected;
use crate::{App, AppError, allow};

/// Valid tokens by their hash.
#[derive(Default)]
pub(crate) struct Cache(ArcSwap<HashMap<[u8; 32], Known>>);

/// A valid token.
#[derive(Clone)]
struct Known {
    actor: Arc<Actor>,
    limit: Option<Arc<Limit>>,
}

/// How often a token may be used.
struct Limit {
    per_second: NonZeroU32,
    bucket: DefaultDirectRateLimiter,
}

impl Limit {
    fn new(per_second: NonZeroU32) -> Self {
        Self { per_second, bucket: RateLimiter::direct(Quota::per_second(per_second)) }
    }
}

/// Most requests a second that a rate can say.
const MAX_RATE: u32 = 1_000_000;

const PREFIX: &str = "gl_";
const MAX_ACTOR_NAME: usize = 100;

/// A token at the only moment when its secret is known.
#[derive(Debug, Serialize)]
pub struct IssuedToken {
    /// Its id, for revoking.
    pub id: String,
    /// Whom it names.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Most requests a second, if there is a limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_per_second: Option<u32>,
    /// The token itself; it is not shown again.
    pub token: String,
}

/// The key of prediction ids, made at the first start.
pub(crate) async fn id_key(store: &Store) -> Result<IdKey, AppError> {
    const KEY: &str = "prediction-id-key";
    let fresh: [u8; 16] = rand::random();
    let mut transaction = store.begin().await?;
    greenlight_store::meta::put_if_absent(&mut transaction, KEY, &hex(&fresh)).await?;
    let kept = greenlight_store::meta::get(&mut transaction, KEY).await?;
    transaction.commit().await.map_err(greenlight_store::StoreError::from)?;
    kept.and_then(|text| u128::from_str_radix(&text, 16).ok())
        .map(|bits| IdKey(bits.to_be_bytes()))
        .ok_or_else(|| {
            AppError::Internal("the stored key of prediction ids is not 32 hexadecimal digits".to_owned())
        })
}

impl App {
    /// Who sent this token. It is not counted against a rate.
    pub fn authenticate(&self, token: &str) -> Result<Arc<Actor>, AppError> {
        let hash: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let known = self.tokens.0.load();
        known.get(&hash).map(|known| Arc::clone(&known.actor)).ok_or(AppError::Unauthenticated)
    }

    /// Who sent a request with this token, unless the token was used more often than its rate allows.
    pub fn admit(&self, token: &str) -> Result<Arc<Actor>, AppError> {
        let hash: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let tokens = self.tokens.0.load();
        let known = tokens.get(&hash).ok_or(AppError::Unauthenticated)?;
        if let Some(limit) = &known.limit
            && limit.bucket.check().is_err()
        {
            self.metrics.reject(Rejected::Rate);
            return Err(AppError::TooMany { per_second: limit.per_second.get() });
        }
        Ok(Arc::clone(&known.actor))
    }

    /// Issues the first admin token; `None` when any token exists already.
    pub async fn issue_first_token(&self) -> Result<Option<IssuedToken>, AppError> {
        let mut connection = self.store.read().await?;
        if !greenlight_store::token::list(&mut connection).await?.is_empty() {
            return Ok(None);
        }
        drop(connection);
        self.issue_token(&Self::system_actor(), "admin", Role::Admin).await.map(Some)
    }

    /// Issues a token for a person or program.
    pub async fn issue_token(&self, actor: &Actor, name: &str, role: Role) -> Result<IssuedToken, AppError> {
        self.issue_limited_token(actor, name, role, None).await
    }

    /// Issues a token that may be used `rate_per_second` times a second on each server.
    pub async fn issue_limited_token(
        &self,
        actor: &Actor,
        name: &str,
        role: Role,
        rate_per_second: Option<u32>,
    ) -> Result<IssuedToken, AppError> {
        allow(actor, Action::Tokens)?;
        if rate_per_second.is_some_and(|rate| !(1..=MAX_RATE).contains(&rate)) {
            return Err(AppError::Invalid(format!(
                "rate_per_second: give 1 to {MAX_RATE} requests a second"
            )));
        }
        let readable = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '@' | ' ');
        if name.trim().is_empty() || name.len() > MAX_ACTOR_NAME || !name.chars().all(readable) {
            return Err(AppError::Invalid(
                "name: give a person or program a name of letters, digits, - _ . @".to_owned(),
            ));
        }
        if name == Self::system_actor().name {
            return Err(AppError::Invalid(format!("name: '{name}' is the platform itself; choose another")));
        }
        let secret: [u8; 32] = rand::random();
        let token = format!("{PREFIX}{}", hex(&secret));
        let issued = IssuedToken { id: new_id(), name: name.to_owned(), role, rate_per_second, token };
        let owner = Actor { name: name.to_owned(), role };
        let mut transaction = self.store.begin().await?;
        let stamp: Stamp<'_> = self.stamp(actor);
        let kept = (hash(&issued.token), rate_per_second);
        greenlight_store::token::insert(&mut transaction, &issued.id, &owner, (&kept.0, kept.1), stamp)
            .await?;
        let detail = json!({ "name": name, "role": role, "rate_per_second": rate_per_second });
        self.audit(&mut transaction, actor, "token.issue", &issued.id, detail).await?;
        transaction.commit().await.map_err(greenlight_store::StoreError::from)?;
        self.refresh_tokens().await?;
        Ok(issued)
    }

    /// All tokens, without their secrets.
    pub async fn list_tokens(&self, actor: &Actor) -> Result<Vec<Token>, AppError> {
        allow(actor, Action::Tokens)?;
        let mut connection = self.store.read().await?;
        Ok(greenlight_store::token::list(&mut connection).await?)
    }

    /// Revokes a token at once.
    pub async fn revoke_token(&self, actor: &Actor, id: &str) -> Result<(), AppError> {
        allow(actor, Action::Tokens)?;
        let mut transaction = self.store.begin().await?;
        if !greenlight_store::token::revoke(&mut transaction, id, self.clock.now()).await? {
            return Err(AppError::not_found("valid token", id, "list them with 'greenlight token list'"));
        }
        self.audit(&mut transaction, actor, "token.revoke", id, json!({})).await?;
        transaction.commit().await.map_err(greenlight_store::StoreError::from)?;
        self.refresh_tokens().await
    }

    pub(crate) async fn refresh_tokens(&self) -> Result<(), AppError> {
        let _one_at_a_time = self.publishing.lock().await;
        let mut connection = self.store.read().await?;
        let valid = greenlight_store::token::valid(&mut connection).await?;
        let before = self.tokens.0.load_full();
        let readable = |token: ValidToken| {
            let hash = bytes_of(&token.secret_hash)?;
            let per_second = token.rate_per_second.and_then(NonZeroU32::new);
            // A bucket is kept: reading tokens again must not fill it.
            let kept = before.get(&hash).and_then(|known| known.limit.clone());
            let kept = kept.filter(|limit| Some(limit.per_second) == per_second);
            let limit = kept.or_else(|| per_second.map(|rate| Arc::new(Limit::new(rate))));
            Some((hash, Known { actor: Arc::new(token.actor), limit }))
        };
        self.tokens.0.store(Arc::new(valid.into_iter().filter_map(readable).collect()));
        Ok(())
    }
}

/// The bytes of a stored hash, 64 hexadecimal digits.
fn bytes_of(hash: &str) -> Option<[u8; 32]> {
    let (digits, rest) = hash.as_bytes().as_chunks::<2>();
    let bytes = digits.iter().map(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok());
    let bytes: Vec<u8> = bytes.collect::<Option<_>>()?;
    bytes.try_into().ok().filter(|_| rest.is_empty())
}

fn hash(token: &str) -> String {
    hex(&Sha256::digest(token.as_bytes()))
}
