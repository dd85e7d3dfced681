namespace Shinano.Hypervisor.Traps;

/// <summary>An entry point the guest registered (set_callbacks, callback_op). Source: public/callback.h.</summary>
/// <param name="Address">0 when there is none.</param>
/// <param name="MasksEvents">CALLBACKF_mask_events: entry sets evtchn_upcall_mask. The event callback always does.</param>
public readonly record struct GuestCallback(ulong Address, bool MasksEvents = false);
