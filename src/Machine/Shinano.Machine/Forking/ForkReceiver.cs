using System.Net.Sockets;
using System.Text;
using Microsoft.Win32.SafeHandles;
using Shinano.Control.Api.Domains;
using Shinano.Linux;
using Shinano.Machine.Saving;
using Shinano.SavedState;

namespace Shinano.Machine.Forking;

/// <summary>
/// Makes a machine of a running domain's frozen state and memory. Both come from a process that its guest may have taken over, so they are held to what a saved domain's
/// file is held to, and the descriptors must be sealed: who sent them cannot change afterwards what was checked.
/// </summary>
internal static class ForkReceiver
{
    /// <summary>Frames, books and console history of the largest domain that can be saved.</summary>
    private const long MostState = 128 << 20;

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    /// <summary>Assembles the machine, paused, its rings bound; nothing is left behind after a failure.</summary>
    /// <exception cref="DomainFailureException">The domain is gone, or what it sent does not do.</exception>
    public static async Task<PvMachine> RestoreAsync(ForkOffer offer, MachineSettings settings, Action<string, string> progress)
    {
        try
        {
            (SealedMemory state, FrozenMemory memory) = Receive(offer);
            using (state)
            {
                progress("fork", $"{memory.Base.Length >> 20} MiB of memory to share");
                return await RestoreAsync(state, memory, settings, progress).ConfigureAwait(false);
            }
        }
        catch (SavedStateException e)
        {
            throw SavedFailure.Of(e, "the domain that is copied");
        }
        catch (InvalidDataException e)
        {
            throw new DomainFailureException(DomainFailureCode.SavedDomainSenseless, $"the domain that is copied: {e.Message}", e);
        }
        catch (Exception e) when (e is IOException or SocketException)
        {
            throw new DomainFailureException(DomainFailureCode.HostResource, $"the domain that is copied: {e.Message}", e);
        }
    }

    /// <summary>Makes a machine of what was received.</summary>
    /// <param name="memory">Is the machine's, or closed after a failure.</param>
    /// <exception cref="InvalidDataException">It is too much, or of another size than the state says.</exception>
    /// <exception cref="SavedStateException">The state makes no sense.</exception>
    internal static async Task<PvMachine> RestoreAsync(SealedMemory state, FrozenMemory memory, MachineSettings settings, Action<string, string> progress)
    {
        bool isTaken = false;
        try
        {
            if (state.Length > MostState)
            {
                throw new InvalidDataException($"a state of {state.Length} bytes is too long");
            }

            using FileStream stream = new(DescriptorPassing.Duplicate(state.File), FileAccess.Read, 1 << 16);
            return await MachineRestorer.RestoreAsync(
                new SectionReader(stream),
                settings,
                machine =>
                {
                    isTaken = true;
                    machine.Domain.Memory.Adopt(memory);
                },
                progress).ConfigureAwait(false);
        }
        finally
        {
            if (!isTaken)
            {
                memory.Dispose();
            }
        }
    }

    private static (SealedMemory State, FrozenMemory Memory) Receive(ForkOffer offer)
    {
        using Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        socket.Connect(new UnixDomainSocketEndPoint(offer.SocketPath));
        socket.ReceiveTimeout = (int)Patience.TotalMilliseconds;
        socket.Send(Encoding.ASCII.GetBytes(offer.Token));
        byte[] version = new byte[1];
        int count = DescriptorPassing.Receive(socket, version, out IReadOnlyList<SafeFileHandle> descriptors);
        List<SealedMemory> files = [];
        try
        {
            if (count != 1 || version[0] != ForkServer.Version || descriptors.Count is not (2 or 3))
            {
                throw new InvalidDataException("its process sent no copy");
            }

            foreach (SafeFileHandle descriptor in descriptors)
            {
                files.Add(SealedMemory.Open(descriptor));
            }

            return (files[0], new FrozenMemory(files[1], files.Count == 3 ? files[2] : null));
        }
        catch
        {
            files.ForEach(file => file.Dispose());
            foreach (SafeFileHandle descriptor in descriptors)
            {
                descriptor.Dispose();
            }

            throw;
        }
    }
}
