//! Kubernetes: one indexed Job whose indices are the tasks of the plan. They start in their order; one that begins before
//! what it reads is computed waits for whoever computes it, by the store's leases.

use std::path::PathBuf;

use clap::Args;
use mlsm_store::Digest;

use super::{Submission, SubmittedLine, quoted};
use crate::error::CliError;

/// The most that a ConfigMap holds.
const CONFIG_MAP: usize = 1 << 20;

/// How to write it.
#[derive(Debug, Args)]
pub struct KubernetesArgs {
    /// The folder of the manifests
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// The image that holds the program: `Containerfile` in the folder makes one
    #[arg(long, value_name = "NAME")]
    image: String,
    /// How many tasks run at once
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..))]
    parallelism: u32,
    /// The claim of the volume that holds the photos, and its place in the container
    #[arg(long, value_name = "CLAIM:PATH", value_parser = claim)]
    photos: Option<(String, String)>,
    /// The secret whose entries become variables, such as the credentials of the store
    #[arg(long, value_name = "NAME")]
    secret: Option<String>,
    /// Asks for one NVIDIA GPU for each task
    #[arg(long)]
    gpu: bool,
}

/// Refuses what no pod could read.
pub(super) fn check(submission: &Submission<'_>) -> Result<(), CliError> {
    if !submission.store.contains("://") {
        let why = format!("{} is a folder, and the pods of a cluster share none with this machine", submission.store);
        return Err(CliError::usage("the store cannot be reached", why, "give --store s3://…, gs://… or az://…"));
    }
    let size = submission.plan.to_json().len();
    if size > CONFIG_MAP {
        let why = format!("it has {size} bytes, and a ConfigMap holds {CONFIG_MAP}");
        let fix = "give larger shards (data.shard_photos), or submit with slurm or ray";
        return Err(CliError::usage("the plan is too large for Kubernetes", why, fix));
    }
    Ok(())
}

/// Writes the manifests; `kubectl apply -k DIR` submits them.
pub(super) fn write(args: &KubernetesArgs, submission: &Submission<'_>) -> Result<Vec<SubmittedLine>, CliError> {
    let script = submission.file("job.yaml", &job(args, submission))?;
    submission.file("kustomization.yaml", KUSTOMIZATION)?;
    submission.file("Containerfile", CONTAINERFILE)?;
    let tasks = submission.plan.tasks.len();
    Ok(vec![SubmittedLine { script: script.display().to_string(), level: None, tasks, job: None }])
}

const KUSTOMIZATION: &str = "\
# `kubectl apply -k .`
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
  - job.yaml
configMapGenerator:
  - name: mlsm-plan
    files:
      - plan.json
";

const CONTAINERFILE: &str = "\
# The program in a container: build with the wheel of `make dist` beside this file. CUDA instead of the CPU:
# --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu130
FROM docker.io/library/python:3.13-slim
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
COPY mlsm-*.whl /tmp/
RUN pip install --no-cache-dir --extra-index-url \"$TORCH_INDEX\" /tmp/mlsm-*.whl && rm /tmp/mlsm-*.whl
USER 1000
ENV HOME=/tmp
ENTRYPOINT [\"mlsm\"]
";

fn job(args: &KubernetesArgs, submission: &Submission<'_>) -> String {
    let plan = submission.plan;
    let threads = plan.tasks.iter().map(|task| task.threads).max().unwrap_or(1);
    let command = format!(
        "exec mlsm work --plan /plan/plan.json --store {} --threads {threads} --task \"$JOB_COMPLETION_INDEX\"",
        quoted(&submission.store)
    );
    let indent = |spaces: usize, lines: &[String]| -> String {
        lines.iter().map(|line| format!("{}{line}\n", " ".repeat(spaces))).collect()
    };
    let secret = args
        .secret
        .iter()
        .flat_map(|name| ["envFrom:".to_owned(), "  - secretRef:".to_owned(), format!("      name: {}", text(name))]);
    let secret: Vec<String> = secret.collect();
    let mount = args.photos.iter().flat_map(|(_, path)| {
        ["- name: photos".to_owned(), format!("  mountPath: {}", text(path)), "  readOnly: true".to_owned()]
    });
    let mount: Vec<String> = mount.collect();
    let volume = args.photos.iter().flat_map(|(claim, _)| {
        [
            "- name: photos".to_owned(),
            "  persistentVolumeClaim:".to_owned(),
            format!("    claimName: {}", text(claim)),
            "    readOnly: true".to_owned(),
        ]
    });
    let volume: Vec<String> = volume.collect();
    let gpu: &[String] = if args.gpu { &["nvidia.com/gpu: 1".to_owned()] } else { &[] };
    format!(
        "\
# One task of the plan for each index. 130 (the node was drained) costs no attempt; 2 and 6 (usage, configuration, bad data)
# would fail again.
apiVersion: batch/v1
kind: Job
metadata:
  name: mlsm-{id}
  labels:
    app.kubernetes.io/name: mlsm
spec:
  completionMode: Indexed
  completions: {completions}
  parallelism: {parallelism}
  backoffLimitPerIndex: 4
  podFailurePolicy:
    rules:
      - action: Ignore
        onExitCodes:
          containerName: mlsm
          operator: In
          values: [5, 130]
      - action: Ignore
        onPodConditions:
          - type: DisruptionTarget
      - action: FailJob
        onExitCodes:
          containerName: mlsm
          operator: In
          values: [2, 6]
  template:
    spec:
      restartPolicy: Never
      terminationGracePeriodSeconds: 30
      securityContext:
        runAsNonRoot: true
        runAsUser: 1000
        fsGroup: 1000
      containers:
        - name: mlsm
          image: {image}
          command:
            - /bin/sh
            - -c
            - {command}
          env:
            - name: MLSM_CACHE
              value: /cache
{secret}          resources:
            requests:
              cpu: {threads}
              memory: 2Gi
            limits:
              memory: 8Gi
{gpu}          volumeMounts:
            - name: plan
              mountPath: /plan
              readOnly: true
            - name: cache
              mountPath: /cache
{mount}      volumes:
        - name: plan
          configMap:
            name: mlsm-plan
        - name: cache
          emptyDir: {{}}
{volume}",
        id = Digest::of(&plan.to_json()).short(),
        completions = plan.tasks.len(),
        parallelism = args.parallelism,
        image = text(&args.image),
        command = text(&command),
        secret = indent(10, &secret),
        gpu = indent(14, gpu),
        mount = indent(12, &mount),
        volume = indent(8, &volume),
    )
}

/// Writes a string of YAML, which a string of JSON is as well.
fn text(value: &str) -> String {
    serde_json::to_string(value).expect("text is written")
}

fn claim(text: &str) -> Result<(String, String), String> {
    match text.split_once(':') {
        Some((claim, path)) if !claim.is_empty() && path.starts_with('/') => Ok((claim.to_owned(), path.to_owned())),
        _ => Err("give the claim and a whole path, such as photos:/data/birds".to_owned()),
    }
}
