//! [`Ready`]: a row as it is handed to librdkafka.

use std::borrow::Cow;

use millstream_core::data::Bytes;
use rdkafka::message::{Headers as _, OwnedHeaders};
use rdkafka::producer::BaseRecord;

use super::delivery::RowId;
use super::limits::Measures;

/// A row as it is handed to librdkafka.
pub(super) struct Ready<'a> {
    pub(super) topic: Cow<'a, str>,
    pub(super) key: Option<Key<'a>>,
    pub(super) value: Option<&'a [u8]>,
    pub(super) partition: Option<i32>,
    pub(super) headers: Option<OwnedHeaders>,
    /// In milliseconds since the Unix epoch.
    pub(super) timestamp: Option<i64>,
}

/// A key: the record's own, or one that was made of it.
pub(super) enum Key<'a> {
    Of(&'a [u8]),
    Made(Bytes),
}

impl Ready<'_> {
    /// What says whether a topic takes it.
    pub(super) fn measures(&self) -> Measures {
        let header =
            |header: rdkafka::message::Header<'_, &[u8]>| header.key.len() + header.value.map_or(0, <[u8]>::len);
        let (headers, of_headers) = match &self.headers {
            Some(headers) => (headers.count(), headers.iter().map(header).sum()),
            None => (0, 0),
        };
        let bytes = self.key_bytes().map_or(0, <[u8]>::len) + self.value.map_or(0, <[u8]>::len) + of_headers;
        Measures { bytes, headers, has_key: self.key.is_some(), timestamp: self.timestamp }
    }

    pub(super) fn key_bytes(&self) -> Option<&[u8]> {
        match self.key.as_ref()? {
            Key::Of(bytes) => Some(bytes),
            Key::Made(bytes) => Some(bytes),
        }
    }

    /// Looks at each header, in order.
    pub(super) fn each_header(&self, mut look: impl FnMut(&str, Option<&[u8]>)) {
        for header in self.headers.iter().flat_map(|headers| headers.iter()) {
            look(header.key, header.value);
        }
    }

    /// librdkafka's record, of this name; it takes the headers along.
    pub(super) fn record(&mut self, id: RowId) -> BaseRecord<'_, [u8], [u8], usize> {
        let headers = self.headers.take();
        let mut record = BaseRecord::with_opaque_to(&self.topic, id.into());
        record.key = self.key_bytes();
        record.payload = self.value;
        record.partition = self.partition;
        record.headers = headers;
        record.timestamp = self.timestamp;
        record
    }
}
