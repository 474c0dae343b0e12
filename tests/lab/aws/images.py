"""The public SSM parameters that name Debian's images.

Fills a gap: MiniStack publishes Amazon Linux alone. Members of the lab boot
no image, but a stack wants an image's id, and EC2 checks that it exists.
"""

from ministack.services import ssm

DEBIAN_12 = "/aws/service/debian/release/12/latest/"


def install() -> None:
    """Publishes an image for each architecture."""
    known = next(iter(ssm._PUBLIC_AMI_PARAMETERS.values()))
    for architecture in ("amd64", "arm64"):
        ssm._PUBLIC_AMI_PARAMETERS[DEBIAN_12 + architecture] = known
