//! Fuzzes the frame decoders: every cut of a stream gives the same frames, and no decoder gets stuck.
#![no_main]
use arbitrary::Arbitrary;
use atm_core::{
    frame::{Decoded, cobs, length, raw},
    wire::Wire,
};
use atm_core_fuzz::frame;
use heapless::{Vec as Buffer, VecView};
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Arbitrary)]
struct Input {
    cuts: Vec<u8>,
    stream: Vec<u8>,
}

type Found = (Decoded, Vec<u8>);

fn decode(
    mut push: impl FnMut(&mut VecView<u8>, &[u8]) -> (usize, Decoded),
    stream: &[u8],
    cuts: &[u8],
) -> Vec<Found> {
    let mut body = Buffer::<u8, 64>::new();
    let (mut found, mut rest) = (Vec::new(), stream);
    let mut cuts = cuts.iter().cycle();
    while !rest.is_empty() {
        let cut = cuts.next().map_or(rest.len(), |cut| usize::from(*cut).clamp(1, rest.len()));
        let mut piece;
        (piece, rest) = rest.split_at(cut);
        while !piece.is_empty() {
            let (taken, decoded) = push(&mut body, piece);
            assert!(taken > 0 || decoded != Decoded::More, "a decoder takes bytes or returns a result");
            piece = &piece[taken..];
            if decoded != Decoded::More {
                found.push((decoded, body.to_vec()));
            }
        }
    }
    found
}

/// The results without the bodies of faults: after a fault the content of the buffer is unspecified.
fn frames(found: Vec<Found>) -> Vec<Found> {
    found
        .into_iter()
        .map(|(decoded, body)| if decoded == Decoded::Frame { (decoded, body) } else { (decoded, Vec::new()) })
        .collect()
}

fuzz_target!(|input: Input| {
    let Input { cuts, stream } = input;
    let decoder = || length::Decoder::default();
    let (mut whole, mut cut) = (decoder(), decoder());
    assert_eq!(
        frames(decode(|body, bytes| whole.push(body, bytes), &stream, &[])),
        frames(decode(|body, bytes| cut.push(body, bytes), &stream, &cuts)),
    );
    let (mut whole, mut cut) = (cobs::Decoder::default(), cobs::Decoder::default());
    assert_eq!(
        frames(decode(|body, bytes| whole.push(body, bytes), &stream, &[])),
        frames(decode(|body, bytes| cut.push(body, bytes), &stream, &cuts)),
    );
    let objects =
        |found: Vec<Found>| found.into_iter().filter(|(decoded, _)| *decoded == Decoded::Frame).collect::<Vec<_>>();
    let (mut whole, mut cut) = (raw::ObjectDecoder::default(), raw::ObjectDecoder::default());
    assert_eq!(
        objects(decode(|body, bytes| whole.push(body, bytes), &stream, &[])),
        objects(decode(|body, bytes| cut.push(body, bytes), &stream, &cuts)),
    );
    let mut answers = raw::AnswerDecoder::default();
    decode(|body, bytes| answers.push(body, bytes), &stream, &cuts);

    let buffer = frame(Wire::Postcard, &stream);
    let length = buffer.len();
    let mut decoder = cobs::Decoder::default();
    let mut body = Buffer::<u8, 8192>::new();
    if (1..8000).contains(&stream.len()) {
        assert_eq!(decoder.push(&mut body, &buffer[..length]), (length, Decoded::Frame));
        assert_eq!(body.as_slice(), stream);
    }
});
