"""Images of k8s/images/ for real: built by buildah on a Debian of this machine, run by runc as the manifests say.

The bases of the Dockerfiles are in registries that a build machine may not reach. A Debian made by debootstrap stands
in for the base that is only a Python. Images whose base has more are not built, and the report says which.

As in the manifests: command, environment, user, group, capabilities, the read-only root, and volumes. Not imitated: a
network and limits for each pod, seccomp, and Triton's own image; the containers reach Redis and the Triton of `local/`
on loopback.
"""
