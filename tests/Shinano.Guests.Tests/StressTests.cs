using System.Globalization;
using Shinano.Control.GuestPackages;

namespace Shinano.Guests.Tests;

/// <summary>
/// The stress program in guests with one and several vCPUs, and checksums of a stream against the host's own. Ten seconds of it by
/// default; SHINANO_STRESS_SECONDS=120 makes it the two minutes (and the 64 MiB) that a release is to pass.
/// </summary>
[Collection(GuestRun.Sequence)]
public sealed class StressTests(ITestOutputHelper output) : IDisposable
{
    private const int LongRun = 120;

    private readonly DirectoryInfo temporary = Directory.CreateTempSubdirectory("shinano-stress");

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    private static int Seconds =>
        int.TryParse(Environment.GetEnvironmentVariable("SHINANO_STRESS_SECONDS"), CultureInfo.InvariantCulture, out var seconds) ? seconds : 10;

    public void Dispose() => temporary.Delete(recursive: true);

    [Fact]
    public async Task EveryCheckPassesOnOneVcpu()
    {
        var program = await BuildAsync();
        var guest = await GuestRun.PrepareAsync(
            QuickstartGuest.CloudKernel, "/opt/stress -s 0 -w 2", [program.ToRamdiskFile()], Cancellation);
        var run = await GuestRun.RunAsync(guest, 1, "256M", Cancellation);
        output.WriteLine(run.Summary(1));
        run.AssertEndedWell();
        Assert.Contains("STRESS OK", run.Lines);
        Assert.Equal(16, run.After("ok").Count);
    }

    [Fact]
    public async Task FourVcpusUnderStressDifferInNothingFromTheHost()
    {
        const int Vcpus = 4;
        const int Workers = 6;
        long streamBytes = Seconds >= LongRun ? 64 << 20 : 2 << 20;
        var program = await BuildAsync();
        var guest = await GuestRun.PrepareAsync(
            QuickstartGuest.CloudKernel,
            StressProgram.Script(Seconds, Workers, streamBytes) + "\n" + KernelLog.Script,
            [program.ToRamdiskFile()],
            Cancellation);
        var busybox = QuickstartGuest.FindBusybox(await GuestRun.Cache.GetAsync("busybox-static", cancellation: Cancellation));
        var expected = await program.HostSumsAsync(busybox, streamBytes, Cancellation);
        var run = await GuestRun.RunAsync(guest, Vcpus, "512M", Cancellation);
        output.WriteLine(run.Summary(Vcpus));
        run.AssertEndedWell();
        Assert.Contains("STRESS OK", run.Lines);
        Assert.Equal(Workers, run.After("worker").Count);
        Assert.Equal(expected, run.Lines.Where(line => line.StartsWith("SUM ", StringComparison.Ordinal)));
        Assert.Empty(KernelLog.TroubleIn(run));
        for (var i = 0; i < Vcpus; i++)
        {
            Assert.True(run.Counter($"vcpu{i}.instructions") > 1_000_000, $"vCPU {i} hardly ran:\n{run.Diagnostics}");
        }
    }

    private async Task<StressProgram> BuildAsync()
    {
        var (program, reason) = await StressProgram.TryBuildAsync(temporary.FullName, Cancellation);
        Assert.SkipWhen(program is null, reason);
        return program;
    }
}
