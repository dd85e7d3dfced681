using System.Globalization;
using Shinano.Control.GuestPackages;

namespace Shinano.Guests.Tests;

/// <summary>
/// The stress program's checks of the CPU: generated and self-modifying code, exceptions at exact places, single step, debug registers, locks, stacks, mappings that
/// change under running code. They pass on the host's CPU first; then in guests, on each engine and with 1, 2 and 4 vCPUs (<see cref="GuestEngine.With"/>). One round by default;
/// SHINANO_CPU_CHECK_SECONDS=120 goes on for as long.
/// </summary>
[Collection(GuestRun.Sequence)]
public sealed class CpuCheckTests(ITestOutputHelper output) : IDisposable
{
    private const int Checks = 16;
    private const int Workers = 2;
    private const int TrailSteps = 1500;

    private readonly DirectoryInfo temporary = Directory.CreateTempSubdirectory("shinano-cpu-checks");

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    private static int Seconds =>
        int.TryParse(Environment.GetEnvironmentVariable("SHINANO_CPU_CHECK_SECONDS"), CultureInfo.InvariantCulture, out var seconds) ? seconds : 0;

    public static TheoryData<string, int> Combinations() => GuestEngine.With(1, 2, 4);

    public void Dispose() => temporary.Delete(recursive: true);

    [Fact]
    public async Task TheHostPassesItsOwnChecks()
    {
        var program = await BuildAsync();
        var (code, text) = await program.RunHereAsync(["-g", "cpu", "-s", "0", "-w", "2"], Cancellation);
        Assert.True(code == 0, text);
        Assert.Equal(Checks, text.Split('\n').Count(line => line.StartsWith("ok ", StringComparison.Ordinal)));
    }

    [Theory]
    [MemberData(nameof(Combinations))]
    public async Task AGuestPassesThem(string engine, int vcpus)
    {
        var program = await BuildAsync();
        var (code, trail) = await program.RunHereAsync(["-T", $"{TrailSteps}"], Cancellation);
        Assert.Equal(0, code);
        var script = $"/opt/stress -g cpu -s {Seconds} -w {Workers}\n/opt/stress -T {TrailSteps}\n{KernelLog.Script}";
        var guest = await GuestRun.PrepareAsync(QuickstartGuest.CloudKernel, script, [program.ToRamdiskFile()], Cancellation);
        var run = await GuestRun.RunAsync(guest, vcpus, "384M", Cancellation, engine);
        output.WriteLine(run.Summary(vcpus));
        run.AssertEndedWell();
        Assert.True(run.Lines.Contains("STRESS OK"), run.Console);
        Assert.Equal(Checks, run.After("ok").Count);
        Assert.Equal(trail.Trim(), "TRAIL " + Assert.Single(run.After("TRAIL")));

        // The kernel reports each signal of a fault that a program handles nowhere; ours are all handled.
        Assert.Empty(KernelLog.TroubleIn(run));
    }

    private async Task<StressProgram> BuildAsync()
    {
        var (program, reason) = await StressProgram.TryBuildAsync(temporary.FullName, Cancellation);
        Assert.SkipWhen(program is null, reason);
        return program;
    }
}
