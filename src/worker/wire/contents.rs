//! Models and feeds on their way to a worker. Each is named by the digest of its bytes, sent once to a worker
//! that lacks it, and kept there.

use super::protocol::{Ask, ContentHead, PlanHead, SentNetwork, SentTensor};
use crate::engine::{Execution, Outcome, Output, Request};
use crate::graph::{CutError, Model, ValueName};
use crate::tensor::{Digest, Tensor};
use crate::walk::FallbackPlan;

use std::collections::{BTreeMap, BTreeSet};

/// How many bytes a worker keeps before it drops contents that the last ask did not name.
const KEPT: usize = 1 << 30;

/// An ask, and the contents that the ask names.
#[derive(Debug)]
pub(in crate::worker) struct Message {
    pub(in crate::worker) ask: Ask,
    pub(in crate::worker) contents: Contents,
}

impl Message {
    /// An ask that names no contents.
    pub(in crate::worker) fn bare(ask: Ask) -> Self {
        Message { ask, contents: Contents::default() }
    }

    /// The ask to run the open network on a request's feeds.
    pub(in crate::worker) fn next(request: &Request<'_>) -> Self {
        let mut contents = Contents::default();
        let feeds = contents.add_feeds(request);
        Message { ask: Ask::Next { feeds, repeats: request.repeats }, contents }
    }

    /// An ask about a request's network, sent from memory: the file may not exist, or may have other shapes.
    ///
    /// A worker on this machine reads external data itself. Only one copy of the weights is in memory then. Any
    /// worker is asked to do so if the network does not fit in one piece. If the network cannot be sent, returns an
    /// execution instead.
    pub(in crate::worker) fn about(
        request: &Request<'_>,
        is_here: bool,
        ask: impl FnOnce(SentNetwork, Vec<SentTensor>, &mut Contents) -> Ask,
    ) -> Result<Self, Box<Execution>> {
        let mut contents = Contents::default();
        let network = contents.add_network(request.model, is_here).map_err(|error| {
            let execution = Execution::without_outputs(Outcome::Rejected, error.to_string());
            Box::new(Execution { hint: error.hint(), ..execution })
        })?;
        let feeds = contents.add_feeds(request);
        Ok(Message { ask: ask(network, feeds, &mut contents), contents })
    }
}

/// The parent's side: the contents that an ask names, until the worker has them.
#[derive(Debug, Default)]
pub(in crate::worker) struct Contents(BTreeMap<Digest, Vec<u8>>);

impl Contents {
    /// Adds a content and returns its digest.
    pub(in crate::worker) fn add(&mut self, bytes: Vec<u8>) -> Digest {
        let digest = Digest::of([bytes.as_slice()]);
        self.0.insert(digest.clone(), bytes);
        digest
    }

    /// Adds a network's file, in one piece if the worker is elsewhere.
    fn add_network(&mut self, model: &Model, is_here: bool) -> Result<SentNetwork, CutError> {
        let folder = model.data_folder();
        if folder.is_none() || !is_here {
            match model.to_whole_bytes() {
                Err(CutError::TooLarge { .. }) if folder.is_some() => {}
                whole => return Ok(SentNetwork { model: self.add(whole?), folder: None }),
            }
        }
        Ok(SentNetwork { model: self.add(model.to_bytes()), folder })
    }

    /// Adds a request's feeds.
    pub(in crate::worker) fn add_feeds(&mut self, request: &Request<'_>) -> Vec<SentTensor> {
        request.feeds.iter().map(|feed| self.add_tensor(&feed.name, &feed.tensor)).collect()
    }

    /// Adds the outputs that a plan expects.
    pub(in crate::worker) fn add_plan(&mut self, plan: &FallbackPlan) -> PlanHead {
        let expected = plan.expected.iter();
        let expected = expected.map(|output| self.add_tensor(&output.name, &output.tensor));
        PlanHead { expected: expected.collect(), by: plan.by, goal: plan.goal, raise: plan.raise }
    }

    fn add_tensor(&mut self, name: &ValueName, tensor: &Tensor) -> SentTensor {
        SentTensor {
            name: name.clone(),
            dtype: tensor.dtype(),
            shape: tensor.shape().to_vec(),
            digest: self.add(tensor.to_bytes()),
        }
    }

    /// The ask and the body that send a worker the wanted contents. Returns `None` if the ask did not name a content,
    /// or if the content was already sent.
    pub(in crate::worker) fn give(&mut self, wanted: &BTreeSet<Digest>) -> Option<(Ask, Vec<u8>)> {
        let (mut contents, mut body) = (Vec::new(), Vec::new());
        for digest in wanted {
            let bytes = self.0.remove(digest)?;
            contents.push(ContentHead { digest: digest.clone(), bytes: bytes.len() });
            if body.is_empty() {
                body = bytes;
            } else {
                body.extend(bytes);
            }
        }
        Some((Ask::Keep { contents }, body))
    }
}

/// The worker's side: the contents from the parent.
#[derive(Debug, Default)]
pub(in crate::worker) struct Store {
    /// The kept contents, oldest first.
    kept: Vec<(Digest, Vec<u8>)>,
    /// The contents that the last ask named. The next ask will probably name the same.
    named: BTreeSet<Digest>,
}

impl Store {
    /// The contents of an ask that are missing here.
    pub(in crate::worker) fn missing(&mut self, ask: &Ask) -> BTreeSet<Digest> {
        let named = ask.named();
        let missing = named.iter().filter(|digest| self.get(digest).is_none()).cloned().collect();
        if !named.is_empty() {
            self.named = named;
        }
        missing
    }

    /// Keeps the contents of a body. If room is short, drops contents that the last ask did not name.
    ///
    /// # Errors
    /// If the body does not match the heads. No content of the body is kept then.
    pub(in crate::worker) fn keep(
        &mut self,
        contents: Vec<ContentHead>,
        mut body: Vec<u8>,
    ) -> Result<(), String> {
        let told = contents.iter().try_fold(0usize, |sum, head| sum.checked_add(head.bytes));
        if told != Some(body.len()) {
            return Err(format!("the contents are not the {} bytes of the body", body.len()));
        }
        let mut given = Vec::new();
        // From the end: `split_off` copies the bytes that it returns, not the bytes that stay.
        for ContentHead { digest, bytes } in contents.into_iter().rev() {
            let mut content = body.split_off(body.len() - bytes);
            // The first content still has the capacity of the whole body.
            content.shrink_to_fit();
            if Digest::of([content.as_slice()]) != digest {
                return Err(format!("a content has not the digest {digest}"));
            }
            given.push((digest, content));
        }
        self.make_room(given.iter().map(|(_, content)| content.len()).sum());
        given.retain(|(digest, _)| self.get(digest).is_none());
        self.kept.extend(given);
        Ok(())
    }

    fn make_room(&mut self, coming: usize) {
        let mut bytes = coming + self.kept.iter().map(|(_, content)| content.len()).sum::<usize>();
        self.kept.retain(|(digest, content)| {
            let stays = bytes <= KEPT || self.named.contains(digest);
            if !stays {
                bytes -= content.len();
            }
            stays
        });
    }

    fn get(&self, digest: &Digest) -> Option<&[u8]> {
        self.kept.iter().find(|(kept, _)| kept == digest).map(|(_, content)| content.as_slice())
    }

    /// The bytes of a content; empty if the content is missing.
    pub(in crate::worker) fn bytes(&self, digest: &Digest) -> &[u8] {
        self.get(digest).unwrap_or_default()
    }

    /// Takes the bytes of a content that is needed only once. For a later ask, the parent sends them again.
    #[cfg(feature = "mnn")]
    pub(in crate::worker) fn take(&mut self, digest: &Digest) -> Vec<u8> {
        let place = self.kept.iter().position(|(kept, _)| kept == digest);
        place.map(|place| self.kept.remove(place).1).unwrap_or_default()
    }

    /// Drops a content that no ask will name again soon.
    pub(in crate::worker) fn forget(&mut self, digest: &Digest) {
        self.kept.retain(|(kept, _)| kept != digest);
    }

    /// Makes tensors from the sent contents.
    ///
    /// # Errors
    /// If a content's length does not match its shape.
    pub(in crate::worker) fn tensors(&self, sent: &[SentTensor]) -> Result<Vec<Output>, String> {
        let tensor = |sent: &SentTensor| {
            let tensor = Tensor::from_bytes(sent.dtype, &sent.shape, self.bytes(&sent.digest));
            let tensor = tensor.map_err(|error| format!("tensor `{}`: {error}", sent.name))?;
            Ok(Output { name: sent.name.clone(), tensor })
        };
        sent.iter().map(tensor).collect()
    }

    /// A plan with its tensors.
    ///
    /// # Errors
    /// As [`Store::tensors`].
    pub(in crate::worker) fn plan(&self, plan: &PlanHead) -> Result<FallbackPlan, String> {
        let expected = self.tensors(&plan.expected)?;
        Ok(FallbackPlan { by: plan.by, goal: plan.goal, raise: plan.raise, expected })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(model: &Digest) -> Ask {
        let network = SentNetwork { model: model.clone(), folder: None };
        Ask::RunOnnx { network, feeds: Vec::new(), repeats: 1, cuda: false }
    }

    #[test]
    fn what_is_lacking_is_given_once() {
        let (mut contents, mut store) = (Contents::default(), Store::default());
        let (first, second) = (contents.add(b"first".to_vec()), contents.add(b"second".to_vec()));
        let wanted = BTreeSet::from([first.clone(), second.clone()]);
        assert_eq!(store.missing(&ask(&first)), BTreeSet::from([first.clone()]));
        let Some((Ask::Keep { contents: heads }, body)) = contents.give(&wanted) else { panic!() };
        assert_eq!(body.len(), "firstsecond".len());
        store.keep(heads, body).unwrap();
        assert!(store.missing(&ask(&first)).is_empty() && store.missing(&ask(&second)).is_empty());
        assert_eq!((store.bytes(&first), store.bytes(&second)), (&b"first"[..], &b"second"[..]));
        assert!(contents.give(&wanted).is_none());
    }

    #[test]
    fn what_is_not_as_told_is_not_kept() {
        let head = |text: &[u8], bytes| ContentHead { digest: Digest::of([text]), bytes };
        let mut store = Store::default();
        assert!(store.keep(vec![head(b"a", 2)], b"a".to_vec()).is_err());
        assert!(store.keep(vec![head(b"a", usize::MAX), head(b"b", 2)], b"a".to_vec()).is_err());
        assert!(store.keep(vec![head(b"b", 1)], b"a".to_vec()).is_err());
        assert!(store.kept.is_empty());
    }

    #[test]
    fn what_the_last_ask_named_is_never_dropped() {
        let mut store = Store::default();
        let (old, used) = (Digest::of([&b"old"[..]]), Digest::of([&b"used"[..]]));
        store.kept = vec![(old.clone(), vec![0; 8]), (used.clone(), vec![0; 8])];
        store.missing(&ask(&used));
        store.make_room(KEPT);
        assert_eq!((store.get(&old), store.get(&used).is_some()), (None, true));
    }
}
