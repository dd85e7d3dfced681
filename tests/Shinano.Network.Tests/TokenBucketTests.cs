using CsCheck;
using Shinano.Network.Switching;

namespace Shinano.Network.Tests;

/// <summary>Rates over virtual time.</summary>
public sealed class TokenBucketTests
{
    [Fact]
    public void A_sender_that_always_sends_gets_its_rate_within_five_per_cent() =>
        Gen.Select(Gen.Long[1000, 20_000_000], Gen.Int[500, 65535], Gen.Int[0, 5_000]).Sample((rate, frame, lateMicroseconds) =>
        {
            ManualClock clock = new();
            TokenBucket bucket = new(rate, clock);
            TimeSpan elapsed = TimeSpan.Zero;
            long sent = 0;

            // Long enough that the burst and one frame are below the margin.
            long enough = Math.Max(rate * 4, Math.Max(frame * 60L, 3000 * 40));
            while (sent < enough)
            {
                sent += frame;
                TimeSpan wait = bucket.Pay(frame);
                if (wait > TimeSpan.Zero)
                {
                    // Timers are late, never early.
                    wait += TimeSpan.FromMicroseconds(1 + lateMicroseconds);
                    clock.Advance(wait);
                    elapsed += wait;
                }
            }

            double measured = sent / elapsed.TotalSeconds;
            return measured <= rate * 1.05 && measured >= rate * 0.95;
        }, iter: 60);

    [Fact]
    public void Silence_saves_no_more_than_a_burst()
    {
        ManualClock clock = new();
        TokenBucket bucket = new(1_000_000, clock);
        clock.Advance(TimeSpan.FromHours(1));
        Assert.Equal(TimeSpan.Zero, bucket.Pay(50_000));
        Assert.Equal(TimeSpan.FromMilliseconds(1), bucket.Pay(1000));
    }
}
