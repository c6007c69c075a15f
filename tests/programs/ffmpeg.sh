# ffmpeg: made pictures and tones through encoders, containers, decoders and filters; a hash of every frame or of the whole stream.
# Both runs take the AVX2 variants: -cpuflags is what xemu's processor offers to ffmpeg's own code, x264 and x265 are told by asm;
# libvpx and aom have no AVX-512 that rounds otherwise. One thread, bit-exact muxers (which write no version), one run a codec.
# Opus is left out: its encoder searches by RSQRTPS, whose estimates are each maker's own (xemu's are AMD's), so its streams differ between Intel and AMD.
#@ root = extra
#@ each = rawvideo+ mpeg4+ mjpeg+ ffv1+ x264+ x265+ vp8+ vp9+ av1+ flac+ aac+ vorbis+ mp3+ ac3+ filters+ scale+ resample+
#@ limit = 1800
flags=mmx+sse+sse2+sse3+ssse3+sse4.1+sse4.2+avx+avx2+fma3+bmi1+bmi2+aesni
size=128x96
run() { ffmpeg -nostdin -y -hide_banner -loglevel error -cpuflags $flags -bitexact -threads 1 -filter_threads 1 "$@" 2>&1 | grep -v '^#software'; }
picture() { run -f lavfi -i "testsrc2=size=$size:rate=10:duration=1" -threads 1 -fflags +bitexact -flags:v +bitexact "$@"; }
tone() { run -f lavfi -i "aevalsrc='0.5*sin(440*2*PI*t)+0.2*sin(3000*t*t)|0.3*cos(250*2*PI*t)':s=44100:d=1" -threads 1 -fflags +bitexact -flags:a +bitexact "$@"; }
# What was encoded, then what its decoder makes of it.
back() { md5sum < "$1"; run -i "$1" -f framemd5 -; }
case $1 in
rawvideo) picture -f framemd5 -; picture -pix_fmt rgb24 -c:v rawvideo -f md5 - ;;
mpeg4) picture -c:v mpeg4 -qscale 3 -bf 2 -mbd rd -trellis 1 -f avi m.avi; back m.avi; picture -c:v mpeg2video -b:v 500k -f mpeg2video m.m2v; back m.m2v ;;
mjpeg) picture -c:v mjpeg -qscale 4 -f avi m.avi; back m.avi; picture -frames:v 2 -c:v png p%d.png; md5sum p?.png ;;
ffv1) picture -c:v ffv1 -level 3 -f avi m.avi; back m.avi; picture -c:v huffyuv -f avi h.avi; back h.avi; picture -c:v utvideo -f avi u.avi; back u.avi ;;
x264) for preset in ultrafast medium slower; do picture -c:v libx264 -preset $preset -x264-params threads=1:asm=avx2 -f h264 m.h264; back m.h264; done ;;
x265) picture -frames:v 4 -c:v libx265 -preset fast -x265-params pools=none:frame-threads=1:asm=avx2:log-level=error:info=0 -f hevc m.hevc; back m.hevc ;;
vp8) picture -frames:v 5 -c:v libvpx -cpu-used 4 -b:v 300k -f ivf m.ivf; back m.ivf ;;
vp9) picture -frames:v 5 -c:v libvpx-vp9 -cpu-used 5 -deadline realtime -row-mt 0 -b:v 300k -f ivf m.ivf; back m.ivf ;;
av1) picture -frames:v 3 -c:v libaom-av1 -cpu-used 8 -usage realtime -row-mt 0 -b:v 300k -f ivf m.ivf; back m.ivf ;;
flac) tone -c:a flac -compression_level 8 -f flac m.flac; back m.flac; tone -c:a alac -f caf m.caf; back m.caf ;;
aac) tone -c:a aac -b:a 96k -f adts m.aac; back m.aac ;;
vorbis) tone -c:a libvorbis -qscale 4 -f ogg m.ogg; back m.ogg ;;
mp3) tone -c:a libmp3lame -b:a 128k -write_xing 0 -id3v2_version 0 -f mp3 m.mp3; back m.mp3; tone -c:a mp2 -f mp2 m.mp2; back m.mp2 ;;
ac3) tone -c:a ac3 -b:a 192k -f ac3 m.ac3; back m.ac3; tone -c:a wmav2 -f asf m.wma; back m.wma ;;
filters) for f in gblur=2 unsharp hqdn3d nlmeans=r=3 yadif rotate=0.3 eq=contrast=1.3:gamma=1.4 hue=h=40 convolution='0 -1 0 -1 5 -1 0 -1 0' colorbalance=rs=.3 boxblur=2 sobel vignette bwdif deband; do echo "$f"; picture -frames:v 2 -vf "$f" -f framemd5 -; done ;;
scale) for f in fast_bilinear bilinear bicubic neighbor area lanczos spline; do echo $f; picture -frames:v 2 -vf "scale=200:150:flags=$f+accurate_rnd,format=rgb24" -f md5 -; picture -frames:v 2 -vf "scale=77:51:flags=$f,format=yuv444p10le" -f md5 -; done ;;
resample) for f in s16 s32 f32 f64 u8; do tone -ar 48000 -ac 1 -c:a pcm_$f$([ $f = u8 ] || echo le) -f md5 -; done; for f in highpass=f=300 loudnorm aecho dynaudnorm afftdn atempo=1.3 equalizer=f=1000:t=q:w=1:g=6 compand; do echo $f; tone -af $f -f md5 -; done ;;
esac
