using System.Text;
using Shinano.Devices.Paravirtual.XenBus;
using Shinano.Devices.Paravirtual.XenStore;
using Shinano.SavedState;
using Shinano.XenStore.Client;
using Shinano.XenStore.Protocol;

namespace Shinano.Machine.Saving;

/// <summary>
/// The section of a saved domain about its rings: what is under way on xenstore's beside its page, which grants devices keep mapped, and what the console showed.
/// </summary>
internal sealed record RingSection(XenStoreRingState? Store, IReadOnlyList<DeviceGrants> Devices, ReadOnlyMemory<byte> ConsoleHistory)
{
    private const uint MostHistory = 16 << 20;
    private const uint MostDevices = 1024;
    private const uint MostQueues = 64;
    private const uint MostGrants = 65536;
    private const uint MostText = 256;
    private const uint MostUndelivered = 16 << 20;

    public void Write(StateWriter writer)
    {
        writer.PutFlag(Store is not null);
        if (Store is { } store)
        {
            writer.PutAll(store.Relay.OpenTransactions, (w, id) => w.Put(id));
            writer.PutBytes(store.Relay.PartialRequest.Span);
            writer.PutBytes(store.Undelivered.Span);
        }

        writer.PutAll(Devices, (w, device) =>
        {
            PutText(w, device.Kind);
            PutText(w, device.Id);
            w.PutAll(device.Kept, (each, kept) =>
            {
                PutText(each, kept.Queue);
                each.PutAll(kept.References, (one, reference) => one.Put(reference));
            });
        });
        writer.PutBytes(ConsoleHistory.Span);
    }

    /// <exception cref="SavedStateException">The section makes no sense.</exception>
    public static RingSection Read(StateReader reader)
    {
        XenStoreRingState? store = null;
        if (reader.GetFlag())
        {
            RingRelayState relay = new(GetNumbers(reader, RelayHello.MaximumTransactions), reader.GetBytes(XenStoreLimits.MaximumMessage));
            store = new XenStoreRingState(relay, reader.GetBytes(MostUndelivered));
        }

        List<DeviceGrants> devices = [];
        for (uint left = reader.GetCount(MostDevices); left > 0; left--)
        {
            devices.Add(new DeviceGrants(GetText(reader), GetText(reader), GetKept(reader)));
        }

        RingSection section = new(store, devices, reader.GetBytes(MostHistory));
        reader.ExpectEnd();
        return section;
    }

    private static List<KeptGrants> GetKept(StateReader reader)
    {
        List<KeptGrants> kept = [];
        for (uint left = reader.GetCount(MostQueues); left > 0; left--)
        {
            kept.Add(new KeptGrants(GetText(reader), GetNumbers(reader, MostGrants)));
        }

        return kept;
    }

    private static uint[] GetNumbers(StateReader reader, uint most)
    {
        uint[] numbers = new uint[reader.GetCount(most)];
        foreach (ref uint number in numbers.AsSpan())
        {
            number = reader.Get<uint>();
        }

        return numbers;
    }

    private static void PutText(StateWriter writer, string text) => writer.PutBytes(Encoding.UTF8.GetBytes(text));

    private static string GetText(StateReader reader) => Encoding.UTF8.GetString(reader.GetBytes(MostText).Span);
}
