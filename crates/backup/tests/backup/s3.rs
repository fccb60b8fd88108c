//! An S3 that keeps everything in memory: what a client of it needs, and no more.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use url::form_urlencoded;

/// The only key it knows.
const KEY: &str = "test-key";
const BUCKET: &str = "/bucket";

type Objects = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

/// It answers as long as the process lives.
pub(crate) struct S3 {
    pub(crate) objects: Objects,
    address: String,
}

impl S3 {
    pub(crate) fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let objects = Objects::default();
        let kept = objects.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(serve(listener, kept));
        });
        Self { objects, address }
    }

    /// What the environment says of it.
    pub(crate) fn settings(&self, key: &str) -> Vec<(String, String)> {
        let settings = [
            ("AWS_ENDPOINT", self.address.as_str()),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_REGION", "here"),
            ("AWS_ACCESS_KEY_ID", key),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("PATH", "/nowhere"),
        ];
        settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    }

    pub(crate) fn known() -> &'static str {
        KEY
    }

    /// The keys below `folder`.
    pub(crate) fn keys(&self, folder: &str) -> Vec<String> {
        self.objects.lock().unwrap().keys().filter(|key| key.starts_with(folder)).cloned().collect()
    }
}

async fn serve(listener: std::net::TcpListener, objects: Objects) {
    listener.set_nonblocking(true).unwrap();
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    while let Ok((stream, _)) = listener.accept().await {
        let objects = objects.clone();
        tokio::spawn(async move {
            let answer = service_fn(move |request| {
                let objects = objects.clone();
                async move { Ok::<_, Infallible>(answer(request, &objects).await) }
            });
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}

async fn answer(request: Request<Incoming>, objects: &Objects) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let signed = head.headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !signed.starts_with(&format!("AWS4-HMAC-SHA256 Credential={KEY}/")) {
        return with(StatusCode::FORBIDDEN, "<Error><Code>AccessDenied</Code></Error>".to_owned());
    }
    let body = body.collect().await.unwrap().to_bytes().to_vec();
    let query: BTreeMap<String, String> =
        form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
    let key = head.uri.path().strip_prefix(BUCKET).unwrap_or_default().trim_start_matches('/').to_owned();
    let mut objects = objects.lock().unwrap();
    let part = |upload: &str, number: &str| format!("parts/{upload}/{number:0>6}");
    match (&head.method, query.get("uploadId"), query.get("partNumber")) {
        (&Method::GET, ..) if query.contains_key("list-type") => {
            let prefix = query.get("prefix").cloned().unwrap_or_default();
            let content = |(key, object): (&String, &Vec<u8>)| {
                let size = object.len();
                let time = "2026-11-26T00:00:00.000Z";
                format!(
                    "<Contents><Key>{key}</Key><LastModified>{time}</LastModified><Size>{size}</Size><ETag>\"e\"</ETag></Contents>"
                )
            };
            let contents: String = objects.iter().filter(|(key, _)| key.starts_with(&prefix)).map(content).collect();
            with(StatusCode::OK, format!("<ListBucketResult>{contents}</ListBucketResult>"))
        }
        (&Method::GET, ..) => match objects.get(&key) {
            Some(object) => Response::builder()
                .header("etag", "\"e\"")
                .header("last-modified", "Thu, 26 Nov 2026 00:00:00 GMT")
                .header("content-length", object.len())
                .body(Full::from(object.clone()))
                .unwrap(),
            None => with(StatusCode::NOT_FOUND, "<Error><Code>NoSuchKey</Code></Error>".to_owned()),
        },
        (&Method::POST, None, _) if query.contains_key("uploads") => {
            let upload = key.replace('/', "-");
            with(
                StatusCode::OK,
                format!("<InitiateMultipartUploadResult><UploadId>{upload}</UploadId></InitiateMultipartUploadResult>"),
            )
        }
        (&Method::PUT, Some(upload), Some(number)) => {
            objects.insert(part(upload, number), body);
            with(StatusCode::OK, String::new())
        }
        (&Method::POST, Some(upload), _) => {
            let parts: Vec<String> =
                objects.keys().filter(|key| key.starts_with(&part(upload, "")[..6 + upload.len()])).cloned().collect();
            let whole = parts.iter().flat_map(|part| objects.remove(part).unwrap_or_default()).collect();
            objects.insert(key, whole);
            with(
                StatusCode::OK,
                "<CompleteMultipartUploadResult><ETag>\"e\"</ETag></CompleteMultipartUploadResult>".to_owned(),
            )
        }
        (&Method::PUT, ..) => {
            objects.insert(key, body);
            with(StatusCode::OK, String::new())
        }
        (&Method::DELETE, ..) => {
            objects.remove(&key);
            with(StatusCode::NO_CONTENT, String::new())
        }
        _ => with(StatusCode::NOT_IMPLEMENTED, format!("<Error><Code>{} {}</Code></Error>", head.method, head.uri)),
    }
}

fn with(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    Response::builder().status(status).header("etag", "\"e\"").body(Full::from(body)).unwrap()
}
