using System.Globalization;
using Shinano.Control.GuestPackages;
using Shinano.Devices.Paravirtual.Console;
using Shinano.Hypervisor;
using Shinano.Linux;
using Shinano.Machine;

namespace Shinano.Cpu.Translator.Tests.LockStep;

/// <summary>
/// Debian's cloud kernel on the translator; the interpreter repeats the first million instructions and then every so many runs between two exits, on a copy of the whole
/// machine. SHINANO_LOCKSTEP_BOOT_SECONDS says for how long, 10 by default.
/// </summary>
public sealed class LockStepBootTests(ITestOutputHelper output)
{
    private const long Memory = 80 << 20;

    /// <summary>One of so many runs is compared.</summary>
    private const int Every = 37;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    private static int Seconds =>
        int.TryParse(Environment.GetEnvironmentVariable("SHINANO_LOCKSTEP_BOOT_SECONDS"), CultureInfo.InvariantCulture, out int seconds) ? seconds : 10;

    [Fact]
    public async Task TheKernelBootsAlike()
    {
        QuickstartGuest guest = await PrepareAsync();
        ShadowEngine? engine = null;
        await using PvMachine machine = await PvMachine.BuildAsync(
            new MachineSettings
            {
                DomainId = 1,
                Uuid = Guid.NewGuid(),
                Name = "lock-step",
                MemoryBytes = Memory,
                MaxMemoryBytes = Memory,
                MaxVcpus = 1,
                KernelPath = guest.KernelPath,
                RamdiskPath = guest.RamdiskPath,
                CommandLine = QuickstartGuest.CommandLine,
                Engine = (memory, features) => engine = new ShadowEngine(memory, features, threshold: 2, Every),
            },
            (_, _) => { });
        TaskCompletionSource<ShutdownReason> ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
        machine.Domain.ShutDown += reason => ended.TrySetResult(reason);
        ConsoleBacklog backlog = new(1 << 20);
        machine.OpenConsole(backlog, log: null);
        ShadowMachine shadow = engine!.Shadow;
        shadow.Shared.UnionWith([machine.Domain.SharedInfoFrame.Value, (ulong)machine.Result.ConsoleRingFrame]);
        machine.Runner.Unpause();
        await Task.WhenAny(ended.Task, Task.Delay(TimeSpan.FromSeconds(Seconds), Cancellation));
        machine.Runner.Stop();
        output.WriteLine($"{shadow.Compared} runs of {shadow.Instructions} instructions agree, {shadow.Inconclusive} could not be compared");
        Assert.True(shadow.Difference is null, shadow.Difference);
        Assert.True(shadow.Instructions > 1_000_000, $"only {shadow.Instructions} instructions were compared");
        Assert.False(ended.Task.IsCompleted && await ended.Task == ShutdownReason.Crash, "the guest crashed");
    }

    private static async Task<QuickstartGuest> PrepareAsync()
    {
        try
        {
            GuestPackageCache cache = new(ShinanoPaths.Current.CacheDirectory);
            return await QuickstartGuest.PrepareAsync(cache, QuickstartGuest.CloudKernel, [], "true", cancellation: Cancellation);
        }
        catch (GuestPackageUnavailableException missing)
        {
            Assert.Skip(missing.Message);
            throw;
        }
    }
}
