using System.Net.Sockets;
using Microsoft.Win32.SafeHandles;
using Shinano.Control.Api.Domains;
using Shinano.Cpu;
using Shinano.Linux;
using Shinano.Machine.Forking;
using Shinano.Machine.Saving;
using Shinano.Machine.Warm;
using Shinano.SavedState;

namespace Shinano.Machine.Tests;

public sealed class ForkTests
{
    [Fact]
    public async Task Copies_run_and_so_does_what_they_are_copies_of()
    {
        using TinyMachine tiny = new();
        await using PvMachine parent = await tiny.SuspendedAsync();
        ForkOffer offer = tiny.NewOffer();
        using ForkServer server = ForkServer.Open(parent, offer);
        await using PvMachine first = await PvMachine.BuildAsync(tiny.Settings(offer), (_, _) => { });
        await using PvMachine second = await PvMachine.BuildAsync(tiny.Settings(offer), (_, _) => { });
        Assert.StartsWith("in order", first.AuditMemory(), StringComparison.Ordinal);
        Assert.Equal(Hypervisor.ShutdownReason.PowerOff, await TinyMachine.RunAsync(first));
        parent.Resume();
        Assert.Equal(Hypervisor.ShutdownReason.PowerOff, await TinyMachine.RunAsync(parent));
        Assert.Equal(Hypervisor.ShutdownReason.PowerOff, await TinyMachine.RunAsync(second));
        Assert.StartsWith("in order", second.AuditMemory(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_copy_is_copied()
    {
        using TinyMachine tiny = new();
        ForkOffer offer = tiny.NewOffer();
        await using PvMachine parent = await tiny.SuspendedAsync();
        PvMachine copy;
        using (ForkServer.Open(parent, offer))
        {
            copy = await PvMachine.BuildAsync(tiny.Settings(offer), (_, _) => { });
        }

        await using (copy)
        {
            await copy.SuspendAsync(TestContext.Current.CancellationToken);
            ForkOffer another = tiny.NewOffer();
            using ForkServer server = ForkServer.Open(copy, another);
            await using PvMachine deep = await PvMachine.BuildAsync(tiny.Settings(another), (_, _) => { });
            Assert.Equal(Hypervisor.ShutdownReason.PowerOff, await TinyMachine.RunAsync(deep));
        }
    }

    [Fact]
    public async Task Another_token_another_size_and_an_offer_that_has_ended_get_nothing()
    {
        using TinyMachine tiny = new();
        await using PvMachine parent = await tiny.SuspendedAsync();
        ForkOffer offer = tiny.NewOffer();
        using (ForkServer.Open(parent, offer))
        {
            Assert.Equal(DomainFailureCode.SavedDomainSenseless, await RefusedAsync(tiny.Settings(tiny.NewOffer())));
            Assert.Equal(DomainFailureCode.SavedDomainSenseless, await RefusedAsync(tiny.Settings(offer, mebibytes: 16)));
        }

        Assert.Equal(DomainFailureCode.HostResource, await RefusedAsync(tiny.Settings(offer)));
    }

    [Fact]
    public async Task What_a_taken_over_process_sends_is_refused_unless_it_is_sealed_and_whole()
    {
        using TinyMachine tiny = new();
        await using PvMachine parent = await tiny.SuspendedAsync();
        using SealedMemory state = StateOf(parent, bytes => bytes);
        using FrozenMemory memory = parent.Domain.Memory.Freeze();
        using SealedMemory damaged = StateOf(parent, bytes =>
        {
            bytes[bytes.Length / 2] ^= 1;
            return bytes;
        });
        using SealedMemory cut = StateOf(parent, bytes => bytes[..^30]);
        using SealedMemory nothing = SealedMemory.Create("nothing", 0, _ => { });
        using SealedMemory shorter = SealedMemory.Create("shorter", memory.Base.Length - 4096, _ => { });
        using MemoryFile open = new("open", memory.Base.Length);
        using SafeFileHandle unsealed = new(open.Descriptor, ownsHandle: false);
        using SafeFileHandle file = File.OpenHandle("/proc/self/exe");
        SafeFileHandle whole = memory.Base.File;
        Assert.Equal(DomainFailureCode.SavedDomainSenseless, await SentAsync(tiny, 1, state.File));
        Assert.Equal(DomainFailureCode.SavedDomainSenseless, await SentAsync(tiny, 2, state.File, whole));
        Assert.Equal(DomainFailureCode.SavedDomainSenseless, await SentAsync(tiny, 1, state.File, whole, whole, whole));
        Assert.Equal(DomainFailureCode.SavedDomainSenseless, await SentAsync(tiny, 1, [.. Enumerable.Repeat(whole, DescriptorPassing.MostDescriptors)]));
        Assert.Equal(DomainFailureCode.SavedDomainSenseless, await SentAsync(tiny, 1, state.File, unsealed));
        Assert.Equal(DomainFailureCode.SavedDomainSenseless, await SentAsync(tiny, 1, unsealed, whole));
        Assert.Equal(DomainFailureCode.SavedDomainSenseless, await SentAsync(tiny, 1, state.File, whole, unsealed));
        Assert.Equal(DomainFailureCode.SavedDomainSenseless, await SentAsync(tiny, 1, file, whole));
        Assert.Equal(DomainFailureCode.SavedDomainSenseless, await SentAsync(tiny, 1, state.File, shorter.File));
        Assert.Equal(DomainFailureCode.SavedDomainSenseless, await SentAsync(tiny, 1, state.File, whole, shorter.File));
        Assert.Equal(DomainFailureCode.SavedDomainDamaged, await SentAsync(tiny, 1, damaged.File, whole));
        Assert.Equal(DomainFailureCode.SavedDomainTruncated, await SentAsync(tiny, 1, cut.File, whole));
        Assert.Equal(DomainFailureCode.NotASavedDomain, await SentAsync(tiny, 1, nothing.File, whole));
        Assert.Null(await SentAsync(tiny, 1, state.File, whole));
    }

    [Fact]
    public async Task Warming_up_leaves_nothing_behind()
    {
        DirectoryInfo directory = Directory.CreateTempSubdirectory("shw");
        await WarmUp.RunAsync(directory.FullName);
        Assert.Equal(["image", "kernel", "spec", "volumes"], directory.EnumerateFileSystemInfos().Select(one => one.Name).Order());
        directory.Delete(recursive: true);
    }

    /// <summary>What a warm process practises: its kernel's code must have become hot.</summary>
    [Fact]
    public async Task The_tiny_kernel_is_translated()
    {
        using TinyMachine tiny = new();
        await using PvMachine machine = await tiny.SuspendedAsync();
        machine.Resume();
        Assert.Equal(Hypervisor.ShutdownReason.PowerOff, await TinyMachine.RunAsync(machine));
        Assert.InRange(Assert.Single(machine.EngineCounters, counter => counter.Name == CpuCounterNames.TranslatedBlocks).Value, 200, 1000);
    }

    private static async Task<DomainFailureCode> RefusedAsync(MachineSettings settings) =>
        (await Assert.ThrowsAsync<DomainFailureException>(() => PvMachine.BuildAsync(settings, (_, _) => { }))).Failure.Code;

    /// <summary>Has a copy made of what a process sends that is not ours.</summary>
    /// <returns>Why not; null when there is a copy.</returns>
    private static async Task<DomainFailureCode?> SentAsync(TinyMachine tiny, byte version, params SafeFileHandle[] descriptors)
    {
        ForkOffer offer = tiny.NewOffer();
        File.Delete(offer.SocketPath);
        using Socket listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(offer.SocketPath));
        listener.Listen();
        Task sending = Task.Run(async () =>
        {
            using Socket socket = await listener.AcceptAsync();
            _ = await socket.ReceiveAsync(new byte[ForkServer.TokenSize]);
            DescriptorPassing.Send(socket, [version], descriptors);
        });
        try
        {
            await using PvMachine machine = await PvMachine.BuildAsync(tiny.Settings(offer), (_, _) => { });
            Assert.Equal(Hypervisor.ShutdownReason.PowerOff, await TinyMachine.RunAsync(machine));
            return null;
        }
        catch (DomainFailureException e)
        {
            return e.Failure.Code;
        }
        finally
        {
            await sending;
        }
    }

    private static SealedMemory StateOf(PvMachine machine, Func<byte[], byte[]> change)
    {
        using MemoryStream buffer = new();
        SectionWriter sections = new(buffer);
        MachineSaver.WriteState(machine, sections, []);
        sections.End();
        byte[] bytes = change(buffer.ToArray());
        return SealedMemory.Create("state", bytes.Length, file => RandomAccess.Write(file, bytes, 0));
    }
}
