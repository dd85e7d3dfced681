namespace Shinano.Devices.Paravirtual.XenBus;

/// <summary>State of one end of a device, as a decimal number in its <c>state</c> node. Source: public/io/xenbus.h: enum xenbus_state.</summary>
public enum XenbusState
{
    /// <summary>No such node, or no number in it.</summary>
    Unknown = 0,

    Initialising = 1,

    /// <summary>The back end has published what it can do and waits for the front end's details.</summary>
    InitWait = 2,

    /// <summary>The front end has published its details and waits for the back end to connect.</summary>
    Initialised = 3,

    Connected = 4,

    /// <summary>The end is shutting down: an error, or a removal.</summary>
    Closing = 5,

    Closed = 6,

    Reconfiguring = 7,

    Reconfigured = 8,
}
