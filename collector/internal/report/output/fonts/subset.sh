#!/bin/sh
# Makes the subsets of Noto Sans from Debian's package fonts-noto-core, with
# Debian's python3-fonttools.
set -eu
from=/usr/share/fonts/truetype/noto
latin=U+0020-007E,U+00A0-024F,U+0259,U+02BB-02BC,U+02C6-02DD,U+0300-036F,U+0370-03FF,U+0400-052F,U+1E00-1EFF,U+2000-206F,U+2070-209F,U+20A0-20BF,U+2100-214F,U+2190-21FF,U+2200-22FF,U+25A0-25FF,U+FFFD
cut() { /usr/bin/python3 -m fontTools.subset "$from/$1" --unicodes="$2" --layout-features='' --no-hinting --name-IDs='*' --drop-tables+=GSUB,GPOS,GDEF --output-file="$1"; }
cut NotoSans-Regular.ttf "$latin"
cut NotoSans-Bold.ttf "$latin"
cut NotoSansArabic-Regular.ttf U+0600-06FF,U+0750-077F,U+FB50-FDFF,U+FE70-FEFF
cut NotoSansHebrew-Regular.ttf U+0590-05FF,U+FB1D-FB4F
