//! Objects that are named by their own content: made once, and never changed.

use crate::{
    SdkConfig,
    failure::{Subject, classify},
};
use aws_sdk_s3::{
    error::ProvideErrorMetadata,
    primitives::ByteStream,
    types::{ChecksumMode, ServerSideEncryption},
};
use reconcile::Failure;

const GET: &str = "s3:GetObject";
const PUT: &str = "s3:PutObject";

/// The S3 calls the fleet makes, to one bucket.
#[derive(Debug, Clone)]
pub struct Bucket {
    client: aws_sdk_s3::Client,
    name: String,
    region: String,
}

impl Bucket {
    /// Uses these credentials and time-outs.
    #[must_use]
    pub fn new(config: &SdkConfig, name: &str, region: &str) -> Self {
        // With path style a bucket's name is in no host name: the same address in AWS and in a local one.
        let config = aws_sdk_s3::config::Builder::from(config).force_path_style(true).build();
        Bucket { client: aws_sdk_s3::Client::from_conf(config), name: name.to_owned(), region: region.to_owned() }
    }

    /// Where CloudFormation finds an object.
    #[must_use]
    pub fn url(&self, key: &str) -> String {
        format!("https://s3.{}.amazonaws.com/{}/{key}", self.region, self.name)
    }

    /// Puts an object where none is; one that is there must have this content.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `s3:GetObject` (which HeadObject needs) or `s3:PutObject`;
    /// [`Failure::Broken`] also when an object of this name has other content.
    pub async fn put_if_missing(&self, key: &str, bytes: &[u8], sha256: [u8; 32]) -> Result<(), Failure> {
        let checksum = base64(&sha256);
        if self.is_there(key, &checksum).await? {
            return Ok(());
        }
        // S3 computes the sum, too, and refuses what was damaged on its way.
        let request = self.client.put_object().bucket(&self.name).key(key).if_none_match("*");
        let request = request.checksum_sha256(&checksum).server_side_encryption(ServerSideEncryption::Aes256);
        let Err(error) = request.body(ByteStream::from(bytes.to_vec())).send().await else { return Ok(()) };
        match error.code() {
            // Another call was first, or an earlier attempt of this one: then it is there now.
            Some("PreconditionFailed" | "ConditionalRequestConflict") if self.is_there(key, &checksum).await? => Ok(()),
            _ => Err(classify(PUT, self.subject(&self.what(key)), error)),
        }
    }

    /// Whether the object is there, with this content.
    async fn is_there(&self, key: &str, checksum: &str) -> Result<bool, Failure> {
        let request = self.client.head_object().bucket(&self.name).key(key).checksum_mode(ChecksumMode::Enabled);
        let found = match request.send().await {
            Ok(found) => found,
            Err(error) if error.as_service_error().is_some_and(|e| e.is_not_found()) => return Ok(false),
            Err(error) => return Err(classify(GET, self.subject(&self.what(key)), error)),
        };
        match found.checksum_sha256() {
            Some(sum) if sum == checksum => Ok(true),
            sum => {
                let sum = sum.unwrap_or("none");
                let what = format!("{} has the checksum {sum}, not {checksum}: delete it", self.what(key));
                Err(Failure::Broken { call: GET, what })
            }
        }
    }

    fn what(&self, key: &str) -> String {
        format!("object {key} of bucket {}", self.name)
    }

    fn subject<'a>(&self, what: &'a str) -> Subject<'a> {
        Subject { what, check: "is BUCKET of this function right?" }
    }
}

/// Base 64 of a checksum, as S3's headers have it (RFC 4648, section 4).
fn base64(bytes: &[u8; 32]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let letter = |bits: u32| char::from(LETTERS[(bits & 63) as usize]);
    let mut text = String::with_capacity(44);
    for three in bytes.chunks(3) {
        let byte = |at: usize| u32::from(three.get(at).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        text.extend([letter(bits >> 18), letter(bits >> 12)]);
        text.push(if three.len() > 1 { letter(bits >> 6) } else { '=' });
        text.push(if three.len() > 2 { letter(bits) } else { '=' });
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may stop")]
mod tests {
    use super::*;
    use crate::replay::{Reply, kind, script};

    // `printf 'abc' | openssl dgst -sha256 -binary | base64`
    const SUM: &str = "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=";
    const SHA256: [u8; 32] = [
        0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23, 0xb0, 0x03,
        0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad,
    ];

    fn missing() -> Reply {
        Reply::Http(404, String::new())
    }

    fn refused(status: u16, code: &str) -> Reply {
        Reply::Http(status, format!("<Error><Code>{code}</Code><Message>no</Message></Error>"))
    }

    async fn put(replies: Vec<Reply>) -> (Result<(), Failure>, Vec<crate::replay::Asked>) {
        let (config, replay) = script(replies);
        let result = Bucket::new(&config, "lab-bucket", "eu-west-1").put_if_missing("nodes/x", b"abc", SHA256).await;
        (result, replay.asked())
    }

    #[test]
    fn a_checksum_is_written_as_s3_has_it() {
        assert_eq!(base64(&SHA256), SUM);
    }

    #[tokio::test]
    async fn an_object_is_put_where_none_is_with_its_checksum() {
        let (result, asked) = put(vec![missing(), Reply::Http(200, String::new())]).await;
        result.unwrap();
        assert_eq!((asked[0].method.as_str(), asked[1].method.as_str()), ("HEAD", "PUT"));
        assert!(asked[1].uri.contains("/lab-bucket/nodes/x"), "{}", asked[1].uri);
        assert_eq!(asked[1].header("if-none-match"), Some("*"));
        assert_eq!(asked[1].header("x-amz-checksum-sha256"), Some(SUM));
        assert_eq!(asked[1].body, "abc");
    }

    #[tokio::test]
    async fn an_object_that_is_there_is_compared_and_left_alone() {
        let found = |sum| Reply::Headed(200, vec![("x-amz-checksum-sha256", sum)]);
        put(vec![found(SUM)]).await.0.unwrap();
        for reply in [found("AAAA"), Reply::Http(200, String::new())] {
            let failure = put(vec![reply]).await.0.unwrap_err();
            assert_eq!(kind(&failure), "broken");
            assert!(failure.to_string().contains("object nodes/x of bucket lab-bucket"), "{failure}");
        }
    }

    #[tokio::test]
    async fn another_call_that_was_first_is_a_success() {
        let found = Reply::Headed(200, vec![("x-amz-checksum-sha256", SUM)]);
        put(vec![missing(), refused(412, "PreconditionFailed"), found]).await.0.unwrap();
        let failure = put(vec![missing(), refused(403, "AccessDenied")]).await.0.unwrap_err();
        assert!(failure.to_string().contains("s3:PutObject"), "{failure}");
    }
}
