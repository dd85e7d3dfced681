using System.Globalization;
using Shinano.Control.GuestPackages;
using Shinano.Devices.Paravirtual.Console;
using Shinano.Hypervisor;
using Shinano.Linux;
using Shinano.Machine;

namespace Shinano.Cpu.Translator.Tests.LockStep;

/// <summary>
/// Debian's cloud kernel on the translator; the interpreter repeats its first instructions and then every so many runs between two exits, on a copy of the whole
/// machine. SHINANO_LOCKSTEP_BOOT says how many million instructions are to be compared, 1 by default.
/// </summary>
public sealed class LockStepBootTests(ITestOutputHelper output)
{
    private const long Memory = 80 << 20;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    private static ulong Millions =>
        ulong.TryParse(Environment.GetEnvironmentVariable("SHINANO_LOCKSTEP_BOOT"), CultureInfo.InvariantCulture, out ulong millions) ? millions : 1;

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
                Engine = (memory, features) => engine = new ShadowEngine(memory, features, threshold: 2, Millions * 1_000_000),
            },
            (_, _) => { });
        TaskCompletionSource<ShutdownReason> ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
        machine.Domain.ShutDown += reason => ended.TrySetResult(reason);
        ConsoleBacklog backlog = new(1 << 20);
        machine.OpenConsole(backlog, log: null);
        ShadowMachine shadow = engine!.Shadow;
        shadow.Shared.UnionWith([machine.Domain.SharedInfoFrame.Value, (ulong)machine.Result.ConsoleRingFrame]);
        shadow.VcpuInfo = () => machine.Domain.Vcpus[0].VcpuInfoAddress;
        machine.Runner.Unpause();
        await Task.WhenAny(ended.Task, shadow.Done).WaitAsync(Cancellation);
        machine.Runner.Stop();
        output.WriteLine($"{shadow.Compared} runs of {shadow.Instructions} instructions agree, {shadow.Inconclusive} could not be compared");
        Assert.True(shadow.Difference is null, shadow.Difference);
        Assert.False(ended.Task.IsCompleted && await ended.Task != ShutdownReason.PowerOff, "the guest did not end well");
        Assert.True(shadow.Instructions >= Math.Min(Millions, 5) * 1_000_000, $"only {shadow.Instructions} instructions were compared");
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
