//! Outbound buffer: encodes messages into whole frames and keeps them until the driver has sent them.
use super::{Envelope, Wire};
#[cfg(feature = "json")]
use crate::codec::json;
#[cfg(feature = "postcard")]
use crate::codec::postcard;
use crate::{
    codec::BufferTooSmall,
    message::{Hello, Notice, Reply},
};
#[cfg(feature = "seal")]
use crate::{
    message::KeyId,
    seal::{self, HelloProof, TerminalKey},
};
use core::{
    fmt,
    hash::{Hash, Hasher},
};

/// Whole frames, in the order in which they are sent.
///
/// The buffer is an array and not a heapless vector: a frame is written in place after the last one, and a
/// vector would have to fill that space with zeros first.
#[derive(Clone)]
pub(crate) struct Outbox<const N: usize> {
    wire: Wire,
    bytes: [u8; N],
    /// Bytes of frames in the buffer.
    len: usize,
    /// Bytes of these that were sent.
    sent: usize,
}

impl<const N: usize> Outbox<N> {
    pub(crate) fn new(wire: Wire) -> Self {
        Self { wire, bytes: [0; N], len: 0, sent: 0 }
    }

    pub(crate) fn output(&self) -> &[u8] {
        self.bytes.get(self.sent..self.len).unwrap_or(&[])
    }

    /// Marks `count` bytes of the output as sent.
    pub(crate) fn consume(&mut self, count: usize) {
        self.sent = self.sent.saturating_add(count);
        if self.sent >= self.len {
            self.clear();
        }
    }

    pub(crate) fn clear(&mut self) {
        #[cfg(feature = "cards")]
        self.wipe();
        self.len = 0;
        self.sent = 0;
    }

    /// Wipes frames that are not to be sent any more; not the rest of one that was begun, where a receiver could not tell it
    /// from the next.
    #[cfg(feature = "cards")]
    pub(crate) fn abandon(&mut self) {
        if self.sent == 0 || self.wire.delimiter().is_some() {
            self.clear();
        }
    }

    /// Wipes the frames, one of which may hold a PIN.
    #[cfg(feature = "cards")]
    fn wipe(&mut self) {
        zeroize::Zeroize::zeroize(self.bytes.get_mut(..self.len).unwrap_or(&mut []));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The state that matters; bytes left over from earlier frames do not.
    fn content(&self) -> (Wire, &[u8], usize) {
        (self.wire, self.bytes.get(..self.len).unwrap_or(&[]), self.sent)
    }

    /// Appends a whole frame; nothing is appended on an error. Where nothing waits to be sent, the line is idle, and what
    /// ends noise on it comes first.
    fn frame(
        &mut self,
        body: impl FnOnce(&mut [u8]) -> Result<usize, BufferTooSmall>,
    ) -> Result<(), BufferTooSmall> {
        let mut start = self.len;
        if start == 0
            && let Some(delimiter) = self.wire.delimiter()
        {
            *self.bytes.first_mut().ok_or(BufferTooSmall)? = delimiter;
            start = 1;
        }
        let written = self.wire.frame(self.bytes.get_mut(start..).unwrap_or(&mut []), body)?;
        self.len = start.saturating_add(written);
        Ok(())
    }

    /// Appends a whole frame in an envelope, or in clear.
    #[cfg(feature = "postcard")]
    fn enclosed(
        &mut self,
        envelope: Option<Envelope<'_>>,
        body: impl FnOnce(&mut [u8]) -> Result<usize, BufferTooSmall>,
    ) -> Result<(), BufferTooSmall> {
        #[cfg(feature = "seal")]
        return self.frame(|out| {
            let Some(envelope) = envelope else { return body(out) };
            let content = out.get_mut(envelope.content_at()..).ok_or(BufferTooSmall)?;
            let length = body(content);
            envelope.seal(out, length)
        });
        #[cfg(not(feature = "seal"))]
        match envelope {
            None => self.frame(body),
            Some(never) => match never {},
        }
    }

    /// Appends a reply. Only the `postcard` wire has envelopes.
    #[cfg_attr(not(feature = "postcard"), expect(unused_variables, reason = "only that wire has envelopes"))]
    pub(crate) fn reply_in(
        &mut self,
        envelope: Option<Envelope<'_>>,
        reply: &Reply,
    ) -> Result<(), BufferTooSmall> {
        match self.wire {
            #[cfg(feature = "json")]
            Wire::Json => self.frame(|out| json::write_reply(reply, out)),
            #[cfg(feature = "json")]
            Wire::Raw => self.frame(|out| json::write_bare(None, &reply.screens, out)),
            #[cfg(feature = "postcard")]
            Wire::Postcard => self.enclosed(envelope, |out| postcard::write_reply(reply, out)),
        }
    }

    /// Appends a notice, and then the open prompt's reply again in its own envelope, if there is one.
    #[cfg_attr(not(feature = "postcard"), expect(unused_variables, reason = "only that wire has envelopes"))]
    pub(crate) fn notice_in(
        &mut self,
        envelope: Option<Envelope<'_>>,
        notice: Notice,
        open: Option<(Option<Envelope<'_>>, &Reply)>,
    ) -> Result<(), BufferTooSmall> {
        match self.wire {
            #[cfg(feature = "json")]
            Wire::Json => self.frame(|out| json::write_notice(notice, out))?,
            // One object: the original client takes each read for one.
            #[cfg(feature = "json")]
            Wire::Raw => {
                let screens = open.map_or(&[][..], |(_, open)| &open.screens);
                return self.frame(|out| json::write_bare(Some(notice), screens, out));
            }
            #[cfg(feature = "postcard")]
            Wire::Postcard => self.enclosed(envelope, |out| postcard::write_notice(notice, out))?,
        }
        open.map_or(Ok(()), |(envelope, open)| self.reply_in(envelope, open))
    }

    /// Appends a hello in clear.
    pub(crate) fn hello(&mut self, hello: &Hello) -> Result<(), BufferTooSmall> {
        match self.wire {
            #[cfg(feature = "json")]
            Wire::Json => self.frame(|out| json::write_hello(hello, out)),
            // This wire has no hello: the host greets at once.
            #[cfg(feature = "json")]
            Wire::Raw => Ok(()),
            #[cfg(feature = "postcard")]
            Wire::Postcard => self.frame(|out| postcard::write_hello(hello, out)),
        }
    }

    /// Appends a sealed hello and returns its proof. Its series and step are those of the key.
    #[cfg(feature = "seal")]
    pub(crate) fn sealed_hello(
        &mut self,
        hello: &Hello,
        id: &KeyId,
        key: &TerminalKey,
    ) -> Result<HelloProof, BufferTooSmall> {
        let mut proof = None;
        self.frame(|out| {
            let length = postcard::write_sealed_hello(hello, id, out)?;
            let (body, rest) = out.split_at_mut_checked(length).ok_or(BufferTooSmall)?;
            let made = key.prove(body);
            *rest.first_chunk_mut().ok_or(BufferTooSmall)? = *made.tag();
            proof = Some(made);
            length.checked_add(seal::TAG).ok_or(BufferTooSmall)
        })?;
        proof.ok_or(BufferTooSmall)
    }

    /// Appends an answer. Only the `postcard` wire has envelopes.
    #[cfg_attr(not(feature = "postcard"), expect(unused_variables, reason = "only that wire has envelopes"))]
    pub(crate) fn answer_in(
        &mut self,
        envelope: Option<Envelope<'_>>,
        re: Option<u64>,
        text: &str,
    ) -> Result<(), BufferTooSmall> {
        match self.wire {
            #[cfg(feature = "json")]
            Wire::Json => self.frame(|out| json::write_answer(re, text, out)),
            #[cfg(feature = "json")]
            Wire::Raw => self.frame(|out| {
                // An empty answer would be no bytes at all, which no read returns; the host trims a blank.
                let text = if text.is_empty() { " " } else { text };
                out.get_mut(..text.len()).ok_or(BufferTooSmall)?.copy_from_slice(text.as_bytes());
                Ok(text.len())
            }),
            #[cfg(feature = "postcard")]
            Wire::Postcard => self.enclosed(envelope, |out| postcard::write_answer(re, text, out)),
        }
    }
}

/// In clear.
#[cfg(test)]
impl<const N: usize> Outbox<N> {
    pub(crate) fn reply(&mut self, reply: &Reply) -> Result<(), BufferTooSmall> {
        self.reply_in(None, reply)
    }

    pub(crate) fn notice(&mut self, notice: Notice, open: Option<&Reply>) -> Result<(), BufferTooSmall> {
        self.notice_in(None, notice, open.map(|open| (None, open)))
    }

    pub(crate) fn answer(&mut self, re: Option<u64>, text: &str) -> Result<(), BufferTooSmall> {
        self.answer_in(None, re, text)
    }
}

#[cfg(feature = "cards")]
impl<const N: usize> Drop for Outbox<N> {
    fn drop(&mut self) {
        self.wipe();
    }
}

impl<const N: usize> PartialEq for Outbox<N> {
    fn eq(&self, other: &Self) -> bool {
        self.content() == other.content()
    }
}

impl<const N: usize> Eq for Outbox<N> {}

impl<const N: usize> Hash for Outbox<N> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.content().hash(state);
    }
}

impl<const N: usize> fmt::Debug for Outbox<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (wire, content, sent) = self.content();
        let content = if cfg!(feature = "cards") { &b".."[..] } else { content };
        f.debug_tuple("Outbox").field(&(wire, content, sent)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::hash::{BuildHasher, BuildHasherDefault};
    use std::hash::DefaultHasher;

    /// A model checker compares and hashes endpoints.
    #[test]
    fn equality_ignores_bytes_that_were_sent() {
        let hash = |outbox: &Outbox<64>| BuildHasherDefault::<DefaultHasher>::default().hash_one(outbox);
        let mut outbox = Outbox::<64>::new(Wire::ALL[0].1);
        let empty = outbox.clone();
        outbox.answer(Some(7), "40").unwrap();
        assert_ne!(outbox, empty);
        assert_ne!(hash(&outbox), hash(&empty));
        let whole = outbox.clone();
        outbox.consume(1);
        assert_ne!(outbox, whole);
        outbox.consume(usize::MAX);
        assert_eq!(outbox, empty, "the bytes are still in the buffer, but not in its content");
        assert_eq!(hash(&outbox), hash(&empty));
    }

    #[cfg(feature = "cards")]
    #[test]
    fn frames_are_wiped_when_they_are_sent_or_dropped() {
        for (_, wire) in Wire::ALL {
            for sent in [0, 1, usize::MAX] {
                let mut outbox = Outbox::<64>::new(*wire);
                outbox.answer(Some(7), "864297").unwrap();
                outbox.consume(sent);
                outbox.abandon();
                // Where frames are not delimited, the rest of one that was begun must be sent.
                let is_kept = sent == 1 && wire.delimiter().is_none();
                assert_eq!(outbox.bytes == [0; 64], !is_kept, "{wire} {sent}");
                outbox.clear();
                assert_eq!(outbox.bytes, [0; 64]);
            }
        }
    }
}
