//! Backups in an object store, such as S3 and what speaks like it.
//!
//! Each file lies there once, under its checksum, whatever backups have it: `objects/SHA256`, with `.zst` where it is
//! compressed. `backups/NAME.json` is the manifest of one, and is put there last: a backup without one is none.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read as _;

use futures_util::TryStreamExt as _;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, PutPayload, WriteMultipart};
use tallybook_core::Timestamp;
use tallybook_sqlite::ErrorKind;
use tokio::io::AsyncWriteExt as _;
use tokio::runtime::Runtime;
use url::Url;

use crate::keep::Keep;
use crate::manifest::{Entry, Manifest};
use crate::name::BackupName;
use crate::target::{Found, Target};
use crate::{Error, Progress, Result, files};

const PART_BYTES: usize = 8 << 20;
/// Parts that are on their way at the same time.
const PARTS: usize = 4;

/// A place for backups in an object store.
#[derive(Debug)]
pub struct Remote {
    store: Box<dyn ObjectStore>,
    prefix: ObjectPath,
    /// Calls block, as those to a folder do.
    runtime: Runtime,
    url: String,
}

/// What an upload came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Uploaded {
    /// Files that were sent.
    pub sent: usize,
    /// Files that were there already.
    pub there: usize,
    /// Bytes that were sent.
    pub bytes: u64,
}

impl Remote {
    /// The settings that nobody else may read.
    pub const SECRETS: [&str; 3] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];

    /// The place at `url`, such as `s3://bucket/prefix`; who may use it is said by `AWS_ACCESS_KEY_ID`,
    /// `AWS_SECRET_ACCESS_KEY`, `AWS_REGION` and `AWS_ENDPOINT`, among `settings`.
    pub fn open(url: &str, settings: impl IntoIterator<Item = (String, String)>) -> Result<Self> {
        let refused = |why: String| Error::new(ErrorKind::Statement, format!("{url} is no place for backups: {why}"));
        let parsed = Url::parse(url).map_err(|error| refused(error.to_string()))?;
        // The library knows these names in small letters.
        let settings = settings.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value));
        let known = settings.filter(|(name, _)| name.starts_with("aws_"));
        let (store, prefix) =
            object_store::parse_url_opts(&parsed, known).map_err(|error| refused(error.to_string()))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| refused(error.to_string()))?;
        Ok(Self { store, prefix, runtime, url: url.to_owned() })
    }

    /// Sends a backup; files that are there already are not sent again.
    pub fn upload(&self, found: &Found, progress: &mut dyn FnMut(Progress)) -> Result<Uploaded> {
        let manifest = found.manifest.clone()?;
        self.runtime.block_on(async {
            let mut there = self.objects().await?;
            let mut uploaded = Uploaded::default();
            for (files_done, entry) in manifest.files.iter().enumerate() {
                let to = self.object(entry);
                if there.contains(&to) {
                    uploaded.there += 1;
                    continue;
                }
                let mut tell = |bytes_done| {
                    let (file, files) = (entry.path.clone(), manifest.files.len());
                    progress(Progress { file, files_done, files, bytes_done, bytes: entry.stored_bytes });
                };
                self.send(found, entry, &to, &mut tell).await?;
                there.insert(to);
                uploaded.sent += 1;
                uploaded.bytes += entry.stored_bytes;
            }
            self.put_manifest(&found.name, &manifest).await?;
            Ok(uploaded)
        })
    }

    async fn put_manifest(&self, name: &BackupName, manifest: &Manifest) -> Result<()> {
        let put = self.store.put(&self.manifest(name), PutPayload::from(manifest.text()?)).await;
        put.map(|_| ()).map_err(|error| self.failed("written to", &error))
    }

    async fn send(&self, found: &Found, entry: &Entry, to: &ObjectPath, progress: &mut dyn FnMut(u64)) -> Result<()> {
        let path = found.path.join(entry.stored_path());
        let mut file = File::open(&path).map_err(Error::io(&path, "read"))?;
        let begun = self.store.put_multipart(to).await.map_err(|error| self.failed("written to", &error))?;
        let mut upload = WriteMultipart::new_with_chunk_size(begun, PART_BYTES);
        let mut buffer = vec![0; PART_BYTES];
        let mut sent = 0;
        loop {
            let read = file.read(&mut buffer).map_err(Error::io(&path, "read"))?;
            if read == 0 {
                break;
            }
            upload.wait_for_capacity(PARTS).await.map_err(|error| self.failed("written to", &error))?;
            upload.write(&buffer[..read]);
            sent += read as u64;
            progress(sent);
        }
        upload.finish().await.map(|_| ()).map_err(|error| self.failed("written to", &error))
    }

    /// All backups, the newest first.
    pub fn list(&self) -> Result<Vec<(BackupName, Result<Manifest>)>> {
        self.runtime.block_on(self.manifests())
    }

    async fn manifests(&self) -> Result<Vec<(BackupName, Result<Manifest>)>> {
        let folder = self.prefix.child("backups");
        let all: Vec<_> =
            self.store.list(Some(&folder)).try_collect().await.map_err(|error| self.failed("read", &error))?;
        let mut found = Vec::new();
        for meta in all {
            let name = meta.location.filename().and_then(|name| name.strip_suffix(".json"));
            let Some(name) = name.and_then(|name| name.parse::<BackupName>().ok()) else { continue };
            let text = async { self.store.get(&meta.location).await?.bytes().await };
            let manifest = match text.await {
                Ok(text) => Manifest::read(&text, &format!("{name} in {}", self.url)),
                Err(error) => Err(self.failed("read", &error)),
            };
            found.push((name, manifest));
        }
        found.sort_by(|one, other| other.0.cmp(&one.0));
        Ok(found)
    }

    /// Fetches a backup into a folder, where it gets its name once every file of it is what it was.
    pub fn fetch(&self, name: &BackupName, target: &Target, progress: &mut dyn FnMut(Progress)) -> Result<Found> {
        if let Some(found) = target.list()?.into_iter().find(|found| found.name == *name) {
            found.verify()?;
            return Ok(found);
        }
        self.runtime.block_on(async {
            let all = self.manifests().await?;
            let missing = || Error::new(ErrorKind::Statement, format!("there is no {name} in {}", self.url));
            let manifest = all.into_iter().find(|(found, _)| found == name).ok_or_else(missing)?.1?;
            let unfinished = target.begin_as(name)?;
            for (files_done, entry) in manifest.files.iter().enumerate() {
                let (file, files) = (entry.path.clone(), manifest.files.len());
                progress(Progress { file, files_done, files, bytes_done: 0, bytes: entry.stored_bytes });
                let to = unfinished.path.join(entry.stored_path());
                files::make_room_for(&to)?;
                let got = self.store.get(&self.object(entry)).await.map_err(|error| self.failed("read", &error))?;
                let mut parts = got.into_stream();
                let mut file = tokio::fs::File::create_new(&to).await.map_err(Error::io(&to, "made"))?;
                while let Some(part) = parts.try_next().await.map_err(|error| self.failed("read", &error))? {
                    file.write_all(&part).await.map_err(Error::io(&to, "written"))?;
                }
                file.sync_all().await.map_err(Error::io(&to, "written"))?;
                let sum = files::sum(&to, entry.compressed)?;
                if (sum.bytes, &sum.sha256) != (entry.bytes, &entry.sha256) {
                    let context =
                        format!("{} in {} is not what was backed up; fetch another backup", entry.path, self.url);
                    return Err(Error::corrupt(context));
                }
            }
            unfinished.publish(&manifest)
        })
    }

    /// Removes backups that need not stay, and then the files that none of those left has. Nobody else may send backups to
    /// the same place meanwhile.
    pub fn prune(&self, keep: &Keep) -> Result<()> {
        self.runtime.block_on(async {
            let mut left = BTreeSet::new();
            let now = Timestamp::now();
            for (place, (name, manifest)) in self.manifests().await?.into_iter().enumerate() {
                // What cannot be read may need any file.
                let manifest = manifest?;
                let stays = keep.what_stays(place, &manifest, now);
                if stays.files.is_empty() {
                    self.remove(&self.manifest(&name)).await?;
                } else if stays != manifest {
                    self.put_manifest(&name, &stays).await?;
                }
                left.extend(stays.files.iter().map(|entry| self.object(entry)));
            }
            for object in self.objects().await?.difference(&left) {
                self.remove(object).await?;
            }
            Ok(())
        })
    }

    async fn remove(&self, path: &ObjectPath) -> Result<()> {
        self.store.delete(path).await.map_err(|error| self.failed("removed from", &error))
    }

    async fn objects(&self) -> Result<BTreeSet<ObjectPath>> {
        let folder = self.prefix.child("objects");
        let all = self.store.list(Some(&folder)).map_ok(|meta| meta.location).try_collect().await;
        all.map_err(|error| self.failed("read", &error))
    }

    fn object(&self, entry: &Entry) -> ObjectPath {
        let name = if entry.compressed { format!("{}.zst", entry.sha256) } else { entry.sha256.clone() };
        self.prefix.child("objects").child(name)
    }

    fn manifest(&self, name: &BackupName) -> ObjectPath {
        self.prefix.child("backups").child(format!("{name}.json"))
    }

    fn failed(&self, what: &str, error: &object_store::Error) -> Error {
        let hint = "check its URL, AWS_ENDPOINT and the keys";
        Error::new(ErrorKind::Disk, format!("{} cannot be {what}: {error}; {hint}", self.url))
    }
}
