using System.Threading.Channels;
using Shinano.Devices.Display.Input;

namespace Shinano.Devices.Display.Tests;

/// <summary>Writes down what viewers do.</summary>
internal sealed class RecordedInput : IDisplayInput
{
    private readonly Channel<string> _events = Channel.CreateUnbounded<string>();

    public void Key(int code, bool isDown) => _events.Writer.TryWrite($"{code}{(isDown ? "+" : "-")}");

    public void Pointer(int x, int y, int buttons) => _events.Writer.TryWrite($"{x},{y},{buttons}");

    public async Task<string[]> TakeAsync(int count, CancellationToken cancellation)
    {
        string[] events = new string[count];
        for (int i = 0; i < count; i++)
        {
            events[i] = await _events.Reader.ReadAsync(cancellation);
        }

        return events;
    }

    public bool IsEmpty => !_events.Reader.TryPeek(out _);
}
