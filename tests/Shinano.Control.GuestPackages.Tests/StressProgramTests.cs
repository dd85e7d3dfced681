using Shinano.Guests;
using Shinano.Linux;

namespace Shinano.Control.GuestPackages.Tests;

/// <summary>The program that is to find our faults must find none in the host's CPU.</summary>
public sealed class StressProgramTests : IDisposable
{
    private readonly TemporaryDirectory temporary = new();

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public void Dispose() => temporary.Dispose();

    [Fact]
    public async Task ItPassesOnTheHost()
    {
        var program = await BuildAsync();
        var (code, output) = await program.RunHereAsync(["-s", "0", "-w", "2"], Cancellation);
        Assert.Equal(0, code);
        Assert.EndsWith("STRESS OK\n", output, StringComparison.Ordinal);
        Assert.Equal(16, output.Split('\n').Count(line => line.StartsWith("ok ", StringComparison.Ordinal)));
    }

    [Fact]
    public async Task AnUnknownCheckIsAFailure()
    {
        var program = await BuildAsync();
        var (code, output) = await program.RunHereAsync(["-c", "no-such-check", "-w", "1"], Cancellation);
        Assert.NotEqual(0, code);
        Assert.DoesNotContain("STRESS OK", output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task TheStreamAndItsSumsAreTheSameEveryTime()
    {
        GuestPackage package;
        try
        {
            package = await new GuestPackageCache(ShinanoPaths.Current.CacheDirectory).GetAsync("busybox-static", cancellation: Cancellation);
        }
        catch (GuestPackageUnavailableException missing)
        {
            Assert.Skip(missing.Message);
            return;
        }

        var program = await BuildAsync();
        var busybox = QuickstartGuest.FindBusybox(package);
        var sums = await program.HostSumsAsync(busybox, 1 << 20, Cancellation);
        Assert.Equal(["plain", "gzip", "back"], sums.Select(line => line.Split(' ')[1]));
        Assert.All(sums, line => Assert.Equal(64, line.Split(' ')[2].Length));
        Assert.Equal(sums[0].Split(' ')[2], sums[2].Split(' ')[2]);
        Assert.NotEqual(sums[0].Split(' ')[2], sums[1].Split(' ')[2]);
        Assert.Equal(sums, await program.HostSumsAsync(busybox, 1 << 20, Cancellation));
    }

    private async Task<StressProgram> BuildAsync()
    {
        var (program, reason) = await StressProgram.TryBuildAsync(temporary.Path, Cancellation);
        Assert.SkipWhen(program is null, reason);
        return program;
    }
}
