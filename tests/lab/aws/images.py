"""The public SSM parameters that name Debian's and Ubuntu's images.

Fills a gap: MiniStack publishes Amazon Linux alone. Members of the lab boot
no image, but a stack wants an image's id, and EC2 checks that it exists.
"""

from ministack.services import ssm

UBUNTU = "/aws/service/canonical/ubuntu/server/{}/stable/current/{{}}/hvm/{}/ami-id"
# With the architecture's name where the braces are.
IMAGES = ("/aws/service/debian/release/12/latest/{}", UBUNTU.format("22.04", "ebs-gp2"),
          UBUNTU.format("24.04", "ebs-gp3"))


def install() -> None:
    """Publishes an image for each release and architecture."""
    known = next(iter(ssm._PUBLIC_AMI_PARAMETERS.values()))
    for image in IMAGES:
        for architecture in ("amd64", "arm64"):
            ssm._PUBLIC_AMI_PARAMETERS[image.format(architecture)] = known
