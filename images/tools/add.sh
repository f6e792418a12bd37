# Adds to an image what an agent needs and it lacks. Run as root while a layer on top of it is built.
# $1 uid and $2 gid of the containers' user, $3 name of the user whose place that takes (may be empty), then what is
# lacking, in the words of lacks.sh. What is there already is left as it is.
uid=$1 gid=$2 name=$3
shift 3

packages= agents= usable=yes
for word; do
  case $word in
    agent:*) agents="$agents ${word#agent:}" ;;
    user) usable= ;;
    glibc) ;;
    *) packages="$packages $word" ;;
  esac
done

# Before the packages are fetched: a proxy that opens TLS may stand in between.
if [ -s /opt/headjack/extra-ca.crt ]; then
  for folder in /usr/local/share/ca-certificates /etc/pki/ca-trust/source/anchors; do
    if [ -d "${folder%/*}" ]; then mkdir -p "$folder" && cp /opt/headjack/extra-ca.crt "$folder/hjk-extra.crt"; fi
  done
  # Alpine's own tool trusts this file alone until there is the other.
  if [ -s /etc/ssl/cert.pem ] && [ ! -L /etc/ssl/cert.pem ]; then cat /opt/headjack/extra-ca.crt >> /etc/ssl/cert.pem; fi
  if [ -s /etc/ssl/certs/ca-certificates.crt ] && ! command -v update-ca-certificates > /dev/null; then
    cat /opt/headjack/extra-ca.crt >> /etc/ssl/certs/ca-certificates.crt
  fi
fi

if [ -n "$packages" ]; then
  if command -v apt-get > /dev/null; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update
    apt-get install -y --no-install-recommends $packages
    rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/cache/apt/archives/*.deb
  elif command -v apk > /dev/null; then
    apk add --no-cache $packages
  elif command -v dnf > /dev/null; then
    dnf install -y --setopt=install_weak_deps=False $packages
    dnf clean all
  elif command -v microdnf > /dev/null; then
    microdnf install -y --setopt=install_weak_deps=0 $packages
    microdnf clean all
  else
    echo "hjk: it lacks$packages, and has none of apt-get, apk, dnf, microdnf to install them with." >&2
    exit 1
  fi
fi
if [ -s /opt/headjack/extra-ca.crt ]; then
  if command -v update-ca-certificates > /dev/null; then update-ca-certificates; fi
  if command -v update-ca-trust > /dev/null; then update-ca-trust; fi
fi

# The agents' programs are made for glibc. Where the image has another C library, they bring theirs: in the places
# where only their loader looks, so that nothing else meets it.
if [ -d /opt/headjack/glibc ]; then
  for loader in /opt/headjack/glibc/ld-linux-*; do
    case $loader in
      */ld-linux-x86-64.so.2) into=/lib64 libraries=/lib/x86_64-linux-gnu ;;
      */ld-linux-aarch64.so.1) into=/lib libraries=/lib/aarch64-linux-gnu ;;
      *) continue ;;
    esac
    mkdir -p "$into"
    ln -s "$loader" "$into/${loader##*/}"
    ln -s /opt/headjack/glibc "$libraries"
  done
fi

# With a Node of their own: that of the project is none of theirs, and theirs is not in its way.
mkdir -p /usr/local/bin
for agent in $agents; do
  program=/opt/headjack/bin/$agent
  case $(head -c 2 "$program") in
    '#!') run="/opt/headjack/bin/node $program" ;;
    *) run=$program ;;
  esac
  {
    echo '#!/bin/sh'
    if [ -s /opt/headjack/extra-ca.crt ]; then
      echo ': "${NODE_EXTRA_CA_CERTS:=/opt/headjack/extra-ca.crt}"; export NODE_EXTRA_CA_CERTS'
    fi
    echo "exec $run \"\$@\""
  } > "/usr/local/bin/$agent"
  chmod 755 "/usr/local/bin/$agent"
  # Now rather than in a session: it may need a newer C library than there is.
  HOME=/tmp/hjk-home "/usr/local/bin/$agent" --version
done
rm -rf /tmp/hjk-home

# The user of the containers has the host's ids, so that the files that it makes are the host user's. By hand, since
# each family has tools of its own for it, and some images have none.
if [ -n "$name" ]; then
  sed "s/^\($name:[^:]*\):[0-9]*:[0-9]*:/\1:$uid:$gid:/" /etc/passwd > /tmp/passwd
  cat /tmp/passwd > /etc/passwd
  rm /tmp/passwd
fi
home=
while IFS=: read -r user _ id _ _ folder _; do
  if [ "$id" = "$uid" ] && [ -z "$home" ]; then home=$folder; fi
done < /etc/passwd
case $home in
  '')
    home=/home/developer user=developer
    if grep -q '^developer:' /etc/passwd; then user=hjk-developer; fi
    echo "$user:x:$uid:$gid::$home:/bin/bash" >> /etc/passwd
    if ! grep -q "^[^:]*:[^:]*:$gid:" /etc/group; then echo "$user:x:$gid:" >> /etc/group; fi
    ;;
  / | /nonexistent | /root)
    sed "s/^\([^:]*:[^:]*:$uid:[^:]*:[^:]*\):[^:]*:/\1:\/home\/developer:/" /etc/passwd > /tmp/passwd
    cat /tmp/passwd > /etc/passwd
    rm /tmp/passwd
    home=/home/developer
    ;;
esac
if [ -z "$usable" ] || [ -n "$name" ]; then
  mkdir -p "$home"
  chown -R "$uid:$gid" "$home"
fi
