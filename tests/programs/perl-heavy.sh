# Heavier computing in perl: primes, strings, hashes, regular expressions over a large text.
#@ long = 2 s natively
perl -e 'my @c; for my $i (2 .. 300000) { next if $c[$i]; push @p, $i; for (my $j = $i * $i; $j <= 300000; $j += $i) { $c[$j] = 1 } } print scalar(@p), " $p[-1]\n"; my %w; local $/; for my $f (glob "/usr/share/perl/5*/*.p[lm]") { open my $h, "<", $f or next; my $t = <$h>; $w{lc $1}++ while $t =~ /\b([a-z]{3,})\b/gi } print join(" ", map "$_:$w{$_}", (sort { $w{$b} <=> $w{$a} || $a cmp $b } keys %w)[0 .. 20]), "\n"'
