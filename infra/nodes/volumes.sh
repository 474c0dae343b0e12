# EBS volumes: found by their serial number, whatever name the kernel gave them, formatted if they carry nothing,
# mounted where they belong.

# Sets DEVICE. NVMe alone says which volume it is; so all instance types of a spec are Nitro's.
attached() { # VOLUME
  local serial
  WHY="volume $1 is not attached"
  for serial in "${SYS_BLOCK:-/sys/block}"/nvme*/device/serial; do
    if [ "$(tr -d ' ' 2>/dev/null <"$serial")" != "${1/-/}" ]; then continue; fi
    DEVICE=${serial%/device/serial}
    DEVICE=${DEV:-/dev}/${DEVICE##*/}
    [ -b "$DEVICE" ] && return
  done
  return 1
}

volume() { # VOLUME DIRECTORY
  local code=0 uuid
  [ -z "$ROOT" ] || return 0
  wait_for attached "$1"
  # Only a device that carries nothing at all (2) is ever formatted.
  blkid -p "$DEVICE" >/dev/null || code=$?
  case $code in
    0) ;;
    2)
      log "formatting $DEVICE, volume $1, which carries nothing"
      mkfs.ext4 -q "$DEVICE"
      ;;
    *) die "volume $1 ($DEVICE) carries more than one thing: blkid ended with $code" ;;
  esac
  uuid=$(blkid -p -s UUID -o value "$DEVICE")
  mkdir -p "$2"
  { grep -v " $2 " /etc/fstab || :; } | { cat && echo "UUID=$uuid $2 ext4 noatime,nofail 0 2"; } >/etc/fstab.new
  mv /etc/fstab.new /etc/fstab
  mountpoint -q "$2" || mount "$DEVICE" -o noatime "$2"
  # A volume that has grown.
  resize2fs "$DEVICE" >/dev/null 2>&1 || log "$2 did not grow"
}

setup_volumes() {
  [ "$ROLE" != bastion ] || return 0
  [ -z "$DATA_VOLUME" ] || volume "$DATA_VOLUME" "$VAR"
  [ -z "$WAL_VOLUME" ] || volume "$WAL_VOLUME" "$WAL_DIR"
  mkdir -p "$BACKUP_DIR"
  [ -z "$BACKUP_VOLUME" ] || volume "$BACKUP_VOLUME" "$BACKUP_DIR"
}
